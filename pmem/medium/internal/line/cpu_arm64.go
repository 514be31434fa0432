package line

import "golang.org/x/sys/cpu"

// Size is the size of a cache line that the layout of pools counts with, in bytes. The
// routines ask the CPU for its own.
const Size = 64

// Usable reports whether the CPU cleans lines to the point of persistence, and why not.
func Usable() (bool, string) {
	if !cpu.ARM64.HasDCPOP {
		return false, "the CPU, or the kernel, has no DC CVAP (HWCAP_DCPOP)"
	}
	return true, ""
}

// Instructions names how lines are written back, and how they are streamed.
func Instructions() (flush, stream string) {
	return "dc cvap, dsb", "stlr, dc cvap, dsb"
}
