package probe

import "github.com/cilium/ebpf/asm"

const docZones = "Documentation/arch/arm64/memory.rst"

// linearMap returns where the kernel's linear map has page frame 0: as far below its begin as the
// frame is below the first of the map (arch/arm64/include/asm/memory.h, __phys_to_virt). With which
// size of addresses the kernel was built is tried: that by which an own page is read is the one.
func (t *trial) linearMap() uint64 {
	const first = "memstart_addr"
	at := t.symbol(first)
	if at == 0 {
		t.stop(Missing, "the kernel has no symbol %s (CONFIG_KALLSYMS_ALL)", first)
	}
	start, page := t.kernelWord(at, first), t.anon(1)
	for _, bits := range []int{52, 48, 47, 42, 39, 36} { // nothing is mapped below the right one's
		base := -(uint64(1) << bits) - start
		if t.bpfReads(asm.FnProbeReadKernel, base+t.frame(page)*uint64(pageSize)) == TheBytes {
			return base
		}
	}
	t.stop(Missing, "no size of addresses leads to an own page in the linear map")
	return 0
}

// kernelZones are the parts of the kernel's address space of which it is known where each has
// something.
var kernelZones = []zone{
	{"linear", "linear map", true, func(t *trial) uint64 { return t.linearMap() + t.frame(t.anon(1))*uint64(pageSize) }},
	{"text", "text", true, func(t *trial) uint64 { return t.symbol("_stext") }},
	{"modules", "area of modules", true, func(*trial) uint64 { return firstModule(1 << 63) }},
}
