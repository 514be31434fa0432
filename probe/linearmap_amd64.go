package probe

import (
	"bufio"
	"encoding/binary"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/asm"
)

// linearMap returns where the kernel's linear map begins.
func (t *trial) linearMap() uint64 { return t.base("page_offset_base", 0xffff888000000000) }

// base returns where a part of the kernel's address space begins. With KASLR the kernel holds
// that in a variable, which is read by the same BPF helper that probes use; without, it is what
// Documentation/arch/x86/x86_64/mm.rst says (4-level paging).
func (t *trial) base(variable string, withoutKASLR uint64) uint64 {
	at := t.symbol(variable)
	if at == 0 {
		return withoutKASLR
	}
	var halves []byte
	for half := range uint64(2) {
		if rc := t.runOnce(reader(asm.FnProbeReadKernel, at+4*half, asm.Return())); int32(rc) < 0 {
			t.stop(Missing, "reading %s: %s", variable, answerErrno(-int32(rc)))
		}
		n := t.runOnce(reader(asm.FnProbeReadKernel, at+4*half, asm.LoadMem(asm.R0, asm.RFP, -8, asm.Word), asm.Return()))
		halves = binary.NativeEndian.AppendUint32(halves, n)
	}
	return binary.NativeEndian.Uint64(halves)
}

// symbol returns the address of a symbol of the kernel, and 0 where it has none.
func (t *trial) symbol(name string) uint64 {
	f, err := os.Open("/proc/kallsyms")
	t.must("/proc/kallsyms", err)
	defer f.Close()
	known := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 {
			continue
		}
		addr, err := strconv.ParseUint(fields[0], 16, 64)
		known = known || err == nil && addr != 0
		if fields[2] == name && err == nil && addr != 0 {
			return addr
		}
	}
	if !known {
		t.stop(Privilege, "/proc/kallsyms hides addresses (CAP_SYSLOG, kernel.kptr_restrict)")
	}
	return 0
}

// kernelZones are the parts of the kernel's address space, with an address at which each has
// something: the page itself and its struct page, the first area, function and module. Of the
// fixmap no more than its place is known: what is mapped there are registers, which a read could
// disturb.
var kernelZones = []zone{
	{"linear", "linear map", true, func(t *trial) uint64 { return t.linearMap() + t.frame(t.anon(1))*uint64(pageSize) }},
	{"vmalloc", "vmalloc area", true, func(t *trial) uint64 { return t.base("vmalloc_base", 0xffffc90000000000) }},
	{"vmemmap", "vmemmap", true, func(t *trial) uint64 {
		const structPage = 64 // bytes
		return t.base("vmemmap_base", 0xffffea0000000000) + t.frame(t.anon(1))*structPage
	}},
	{"text", "text", true, func(t *trial) uint64 { return t.symbol("_stext") }},
	{"modules", "area of modules", true, func(*trial) uint64 { return firstModule(0xffffffffc0000000) }},
	{"fixmap", "fixmap", false, func(*trial) uint64 { return 0xffffffffff578000 }},
}

// firstModule returns where the first module of the list is; without one, where the area
// begins: there the kernel has BPF programs.
func firstModule(area uint64) uint64 {
	text, err := os.ReadFile("/proc/modules")
	if err != nil {
		return area
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for _, field := range strings.Fields(line) {
		if at, err := strconv.ParseUint(field, 0, 64); err == nil && at > area {
			return at
		}
	}
	return area
}
