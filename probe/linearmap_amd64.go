package probe

import (
	"bufio"
	"encoding/binary"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/asm"
)

// linearMap returns where the kernel's linear map begins. With KASLR the kernel holds that
// in page_offset_base; the symbol is read by the same BPF helper that the probe uses.
func (t *trial) linearMap() uint64 {
	const withoutKASLR = 0xffff888000000000 // Documentation/arch/x86/x86_64/mm.rst, 4-level paging
	at := t.symbol("page_offset_base")
	if at == 0 {
		return withoutKASLR
	}
	var halves []byte
	for half := range uint64(2) {
		if rc := t.runOnce(reader(asm.FnProbeReadKernel, at+4*half, asm.Return())); int32(rc) < 0 {
			t.stop(Missing, "reading page_offset_base: %s", answerErrno(-int32(rc)))
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

// kernelZones are the parts of the kernel's address space, where the documentation puts them
// (4-level paging; with KASLR the linear map, vmalloc and vmemmap begin elsewhere, and the
// address is still one that no process may touch).
var kernelZones = []zone{
	{"linear", "linear map", func(*trial) uint64 { return 0xffff888000000000 }},
	{"vmalloc", "vmalloc area", func(*trial) uint64 { return 0xffffc90000000000 }},
	{"vmemmap", "vmemmap", func(*trial) uint64 { return 0xffffea0000000000 }},
	{"text", "text", func(*trial) uint64 { return 0xffffffff81000000 }},
	{"modules", "area of modules", func(*trial) uint64 { return 0xffffffffc0000000 }},
	{"fixmap", "fixmap", func(*trial) uint64 { return 0xffffffffff578000 }},
}
