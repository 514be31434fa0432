package host

import (
	"errors"
	"strings"
	"testing"

	"github.com/safevma/safevma/guarantee"
)

const iomemText = `00000000-00000fff : Reserved
00001000-0009fbff : System RAM
00100000-bfffffff : System RAM
  01000000-02209987 : Kernel code
  02400000-02e09fff : Kernel rodata
  03000000-0327c0ff : Kernel data
c0001000-eebfffff : PCI Bus 0000:00 : x
100000000-13fffffff : dax0.0
  100000000-13fffffff : System RAM (kmem)
`

func TestParseIomem(t *testing.T) {
	ranges, _, err := parseIomem(strings.NewReader(iomemText))
	if err != nil || len(ranges) != 9 {
		t.Fatalf("%d ranges, %v", len(ranges), err)
	}
	if r := ranges[6]; r.Name != "PCI Bus 0000:00 : x" || r.Size() != 0x2ebff000 {
		t.Errorf("%+v", r)
	}
	ram, _, err := systemRAM(ranges)
	if want := uint64(0x9ec00 + 0xbff00000 + 0x40000000); err != nil || ram.Bytes != want || len(ram.Ranges) != 3 {
		t.Errorf("%+v, %v; want %d bytes", ram, err, want)
	}
	image, _, err := kernelImage(ranges)
	if err != nil || len(image) != 3 || image[0] != (Range{0x1000000, 0x2209987, "Kernel code"}) {
		t.Errorf("%+v, %v", image, err)
	}
}

// Readers without rights see zeroes: that is a refusal, and not a host without memory.
func TestParseIomemHidden(t *testing.T) {
	_, _, err := parseIomem(strings.NewReader("00000000-00000000 : System RAM\n  00000000-00000000 : Kernel code\n"))
	if !errors.Is(err, ErrDenied) {
		t.Errorf("%v, want denied", err)
	}
}

func TestParseIomemMalformed(t *testing.T) {
	for _, text := range []string{"", "x\n", "1-2: System RAM\n", "2-1 : System RAM\n", "-1-2 : x\n", "1-10000000000000000 : x\n", "0x1-0x2 : x\n"} {
		if ranges, _, err := parseIomem(strings.NewReader(text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v, %v; want malformed", text, ranges, err)
		}
	}
	if _, _, err := systemRAM([]Range{{0, 1<<64 - 1, "System RAM"}}); !errors.Is(err, ErrMalformed) {
		t.Errorf("2^64 bytes of memory: %v, want malformed", err)
	}
}

const vmallocText = `0x0000000000b29e3c-0x000000007b223975   20480 irq_init_percpu_irqstack+0xca/0x100 vmap
0x000000007b223975-0x000000005e78b35d    8192 acpi_os_map_iomem+0x1bc/0x1e0 phys=0x00000000000a0000 ioremap
0x0000000046df6e05-0x00000000804c1ab0   20480 kernel_clone+0x94/0x3e0 pages=4 vmalloc N0=4
0x0000000046df6e05-0x00000000804c1ab0   20480 kernel_clone+0x95/0x3e0 pages=4 vmalloc N0=4
0x0000000046df6e05-0x00000000804c1ab0    8192 bpf_map_area_mmapable_alloc+0x1/0x2 [mod] pages=1 vmalloc user vpages
0x0000000046df6e05-0x00000000804c1ab0    4096 vm_map_ram
0x0000000046df6e05-0x00000000804c1ab0    4096
0x0000000046df6e05-0x00000000804c1ab0   65536 unpurged vm_area
`

func TestParseVmalloc(t *testing.T) {
	v, _, err := parseVmalloc(strings.NewReader(vmallocText))
	if err != nil {
		t.Fatal(err)
	}
	if v.Areas != 7 || v.Bytes != 3*20480+2*8192+2*4096 || v.Pages != 9 {
		t.Errorf("%d areas, %d bytes, %d pages", v.Areas, v.Bytes, v.Pages)
	}
	for use, want := range map[string]VmallocUse{
		"vmap": {1, 20480}, "ioremap": {1, 8192}, "vmalloc": {2, 40960}, "user": {1, 8192}, "vm_map_ram": {1, 4096}, "other": {1, 4096}, "unpurged": {1, 65536},
	} {
		if v.Uses[use] != want {
			t.Errorf("%s: %+v, want %+v", use, v.Uses[use], want)
		}
	}
	if first := v.Callers[0]; first != (VmallocCaller{"kernel_clone", VmallocUse{2, 40960}}) {
		t.Errorf("the largest caller is %+v", first)
	}
	for _, text := range []string{"x\n", "0x1-0x2 -4096 f+0x1/0x2\n", "0x1-0x2 f+0x1/0x2 vmap\n", "0x1-0x2 4096 f+0x1/0x2 pages=-1\n",
		"0x1-0x2 18446744073709551615 vmap\n0x1-0x2 1 vmap\n"} {
		if v, _, err := parseVmalloc(strings.NewReader(text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %+v, %v; want malformed", text, v, err)
		}
	}
}

const zoneinfoText = `Node 0, zone      DMA
  per-node stats
      nr_inactive_anon 1530
  pages free     3840
        boost    0
        min      12
        low      15
        high     18
        spanned  4095
        present  3998
        managed  3840
        cma      0
        protection: (0, 3020, 24096, 24096, 24096)
  pagesets
    cpu: 0
              count:    0
              high:     0
  node_unreclaimable:  0
Node 1, zone   Normal
  pages free     7
        min      1
        low      2
        high     3
        spanned  100
        present  100
        managed  90
`

func TestParseZoneinfo(t *testing.T) {
	zones, _, err := parseZoneinfo(strings.NewReader(zoneinfoText))
	want := []Zone{{0, "DMA", 3840, 12, 15, 18, 4095, 3998, 3840}, {1, "Normal", 7, 1, 2, 3, 100, 100, 90}}
	if err != nil || len(zones) != 2 || zones[0] != want[0] || zones[1] != want[1] {
		t.Errorf("%+v, %v; want %+v", zones, err, want)
	}
	for _, text := range []string{
		"", "  spanned 1\n", "Node 0, zone\n", "Node x, zone DMA\n", "Node 0, zone DMA\n",
		strings.Replace(zoneinfoText, "present  3998", "present  -3998", 1),
		strings.Replace(zoneinfoText, "managed  3840", "managed  3999", 1),
		strings.Replace(zoneinfoText, "spanned  4095", "present  4095", 1),
		strings.Replace(zoneinfoText, "        managed  90\n", "", 1),
	} {
		if zones, _, err := parseZoneinfo(strings.NewReader(text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.60q: %+v, %v; want malformed", text, zones, err)
		}
	}
}

const pageTablesText = `---[ User Space ]---
0x0000000000000000-0xffff800000000000    16777088T                               pgd
---[ Low Kernel Mapping ]---
0xffff888000000000-0xffff888000001000           4K     RW                 GLB NX pte
0xffff888000001000-0xffff888000003000           8K     ro                 GLB x  pte
---[ vmalloc() Area ]---
0xffffc90000000000-0xffffc90000001000           4K     RW                 GLB x  pte
---[ End ]---
`

func TestParsePageTables(t *testing.T) {
	areas, _, err := parsePageTables(strings.NewReader(pageTablesText))
	want := []PageTableArea{{"User Space", 0, 0}, {"Low Kernel Mapping", 12288, 0}, {"vmalloc() Area", 4096, 4096}, {"End", 0, 0}}
	if err != nil || len(areas) != len(want) {
		t.Fatalf("%+v, %v", areas, err)
	}
	for i := range want {
		if areas[i] != want[i] {
			t.Errorf("%+v, want %+v", areas[i], want[i])
		}
	}
	for _, text := range []string{"", "0x1-0x2 4K RW\n", "---[ a\n", "---[ a ]---\nx\n", "---[ a ]---\n0x2-0x1 4K RW\n", "---[ a ]---\n0x1-0x1 4K RW\n", "---[ a ]---\n0xg-0x1 4K RW\n"} {
		if areas, _, err := parsePageTables(strings.NewReader(text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %+v, %v; want malformed", text, areas, err)
		}
	}
}

func TestParseTextAddress(t *testing.T) {
	address, raw, err := parseTextAddress(strings.NewReader("0000000000000000 A fixed_percpu_data\nffffffff81000000 T _text\nx\n"))
	if address != 0xffffffff81000000 || raw != "ffffffff81000000 T _text" || err != nil {
		t.Errorf("%#x, %q, %v", address, raw, err)
	}
	for text, want := range map[string]error{
		"0000000000000000 T _text\n": ErrDenied, "ffffffff81000000 T _stext\n": ErrAbsent, "": ErrAbsent,
		"x T _text\n": ErrMalformed, "ffffffff81000000\n": ErrMalformed, "1ffffffffffffffff T _text\n": ErrMalformed,
	} {
		if address, _, err := parseTextAddress(strings.NewReader(text)); !errors.Is(err, want) {
			t.Errorf("%q: %#x, %v; want %v", text, address, err, want)
		}
	}
}

func TestKASLR(t *testing.T) {
	config := func(base string) Value[Config] {
		return known(Config{"RANDOMIZE_BASE": base, "PHYSICAL_START": "0x1000000", "PHYSICAL_ALIGN": "0x200000"}, guarantee.Read, "config", "")
	}
	cmdline := func(text string) Value[Cmdline] {
		c, err := parseCmdline(text)
		if err != nil {
			t.Fatal(err)
		}
		return known(c, guarantee.Read, "cmdline", "")
	}
	address := func(a uint64) Value[uint64] { return known(a, guarantee.Read, "kallsyms", "") }
	hidden := unknown[uint64](guarantee.Read, "kallsyms", "", ErrDenied)
	for _, test := range []struct {
		name          string
		text          Value[uint64]
		machine, base string
		cmdline       string
		want          state
		method        guarantee.Method
	}{
		{"moved", address(0xffffffff9d200000), "x86_64", "y", "", isOn, guarantee.Read},
		{"configured, but where it was linked", address(0xffffffff81000000), "x86_64", "y", "", isOff, guarantee.Read},
		{"hidden, configured", hidden, "x86_64", "y", "", isUnknown, guarantee.Inference},
		{"hidden, switched off", hidden, "x86_64", "y", "nokaslr", isOff, guarantee.Inference},
		{"hidden, not built", hidden, "x86_64", "n", "", isOff, guarantee.Inference},
		{"another architecture", address(0xffff800080000000), "aarch64", "y", "", isUnknown, guarantee.Inference},
	} {
		kernel := Kernel{Uname: known(Uname{Machine: test.machine}, guarantee.Read, "uname", ""), Config: config(test.base), Cmdline: cmdline(test.cmdline)}
		if got := kaslr(test.text, kernel); stateOf(got) != test.want || got.Method != test.method {
			t.Errorf("%s: %+v, want %s by %s", test.name, got, test.want, test.method)
		}
	}
	if got := kaslr(hidden, Kernel{Config: config("y")}); got.Known() {
		t.Errorf("without the command line: %+v, want unknown", got)
	}
}
