package medium_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/safevma/safevma/pmem/medium"
)

const smaps = `00400000-00401000 r--p 00000000 fe:00 1 /bin/x
Size:                  4 kB
VmFlags: rd mr mw me
7f0000000000-7f0000200000 rw-s 00000000 103:01 12 /mnt/pool - 7f0000000000-odd name
Size:               2048 kB
VmFlags: rd wr sh mr mw me ms sf
7f0000200000-7f0000400000 rw-s 00200000 103:01 12 /mnt/pool
Size:               2048 kB
`

func TestVMFlags(t *testing.T) {
	for addr, want := range map[uint64]string{0x400000: "rd mr mw me", 0x7f0000000000: "rd wr sh mr mw me ms sf", 0x7f0000200000: "", 0x401000: ""} {
		got, err := medium.VMFlags(strings.NewReader(smaps), addr)
		if got != want || (want == "") != (err != nil) {
			t.Errorf("%#x: %q, %v; want %q", addr, got, err, want)
		}
	}
}

func FuzzVMFlags(f *testing.F) {
	f.Add(smaps, uint64(0x400000))
	f.Add("-", uint64(0))
	f.Add("0-\nVmFlags:", uint64(0))
	f.Fuzz(func(t *testing.T, text string, addr uint64) {
		flags, err := medium.VMFlags(strings.NewReader(text), addr)
		if err == nil && !strings.Contains(text, flags) {
			t.Errorf("%q is not in the text", flags)
		}
	})
}

const mountinfo = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,errors=remount-ro
40 22 259:0 / /mnt rw,noatime shared:20 - ext4 /dev/pmem0 rw,dax=always
41 22 0:40 / /merged rw - overlay overlay rw,lowerdir=/l,upperdir=/u,volatile
42 22 8:1 / /old rw - ext4 /dev/sda1 rw,nobarrier
43 broken
`

func TestFindMount(t *testing.T) {
	for id, want := range map[string]string{"22": "errors=remount-ro", "40": "dax=always", "41": "volatile", "42": "nobarrier"} {
		m, err := medium.FindMount(strings.NewReader(mountinfo), id)
		if err != nil || !slices.Contains(m.MountOptions(), want) || !slices.Contains(m.MountOptions(), "rw") {
			t.Errorf("mount %s: %+v, %v; want %s", id, m, err, want)
		}
	}
	for _, id := range []string{"43", "1", "", "-"} {
		if m, err := medium.FindMount(strings.NewReader(mountinfo), id); err == nil {
			t.Errorf("mount %q: %+v", id, m)
		}
	}
	if got := medium.MountID("pos:\t0\nflags:\t02100000\nmnt_id:\t40\nino:\t12\n"); got != "40" {
		t.Errorf("mount id %q", got)
	}
}

func FuzzFindMount(f *testing.F) {
	f.Add(mountinfo, "mnt_id:\t41\n")
	f.Add("1 2 3 4 5 6 - a b c", "mnt_id: 1")
	f.Add("1 - ", "mnt_id: 1")
	f.Fuzz(func(t *testing.T, table, fdinfo string) {
		m, err := medium.FindMount(strings.NewReader(table), medium.MountID(fdinfo))
		if err == nil && len(m.MountOptions()) < 2 {
			t.Errorf("%+v", m)
		}
	})
}

// sysfs makes the folders and links in which the kernel shows a device; those that end in a
// line break are files.
func sysfs(t *testing.T, files, links map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		file := filepath.Join(root, name)
		ok(t, os.MkdirAll(filepath.Dir(file), 0o700))
		if text == "" {
			ok(t, os.MkdirAll(file, 0o700))
		} else {
			ok(t, os.WriteFile(file, []byte(text), 0o600))
		}
	}
	for name, target := range links {
		ok(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700), os.Symlink(filepath.Join(root, target), filepath.Join(root, name)))
	}
	return root
}

func TestDomain(t *testing.T) {
	const pmem0 = "devices/LNXSYSTM:00/ndbus0/region0/pfn0.1/block/pmem0"
	const pmem1 = "devices/LNXSYSTM:00/ndbus0/region1/namespace1.0/block/pmem1"
	tree := func(domain0, domain1 string) string {
		files := map[string]string{
			pmem0 + "/slaves": "", pmem0 + "/pmem0p1": "", pmem1 + "/slaves": "",
			"bus/nd/devices/region0/numa_node": "1\n", "bus/nd/devices/region1/numa_node": "0\n",
			"devices/virtual/block/dm-0/slaves": "", "devices/pci0/virtio1/block/vda/slaves": "", "devices/pci0/virtio1/block/vda/vda1": "",
		}
		for region, domain := range map[string]string{"region0": domain0, "region1": domain1} {
			if domain != "" {
				files["bus/nd/devices/"+region+"/persistence_domain"] = domain
			}
		}
		return sysfs(t, files, map[string]string{
			"dev/block/259:0": pmem0, "dev/block/259:1": pmem0 + "/pmem0p1", "dev/block/259:2": pmem1,
			"dev/block/253:0": "devices/virtual/block/dm-0", "dev/block/254:0": "devices/pci0/virtio1/block/vda",
			"dev/block/254:1":                         "devices/pci0/virtio1/block/vda/vda1",
			"devices/virtual/block/dm-0/slaves/pmem0": pmem0, "devices/virtual/block/dm-0/slaves/pmem1": pmem1,
		})
	}
	device := func(major, minor uint64) uint64 { return major<<8 | minor }
	both, mixed, silent := tree("cpu_cache\n", "cpu_cache\n"), tree("cpu_cache\n", "memory_controller\n"), tree("memory_controller\n", "")
	for _, tt := range []struct {
		root   string
		device uint64
		want   string
		eadr   bool
		node   int
	}{
		{both, device(259, 0), "cpu_cache (eADR)", true, 1},
		{both, device(259, 1), "cpu_cache (eADR)", true, 1},
		{both, device(253, 0), "cpu_cache (eADR)", true, 1},
		{mixed, device(253, 0), "memory_controller (ADR)", false, 1},
		{mixed, device(259, 2), "memory_controller (ADR)", false, 0},
		{silent, device(259, 2), "unknown: the kernel names none for region1", false, 0},
		{silent, device(253, 0), "unknown: the kernel names none for region1", false, 1},
		{tree("new_domain\n", ""), device(259, 0), `unknown: "new_domain" for region0`, false, 1},
		{both, device(254, 0), "unknown: no region of persistent memory was found below the device", false, -1},
		{both, device(254, 1), "unknown: no region of persistent memory was found below the device", false, -1},
		{both, device(9, 9), "unknown: no region of persistent memory was found below the device", false, -1},
	} {
		got, eadr, node := medium.DomainOf(tt.root, tt.device)
		if got != tt.want || eadr != tt.eadr || node != tt.node {
			t.Errorf("device %#x: %q, eADR %v, node %d; want %q, %v, %d", tt.device, got, eadr, node, tt.want, tt.eadr, tt.node)
		}
	}
}
