package line

import "golang.org/x/sys/cpu"

// Size is the size of a cache line, in bytes.
const Size = 64

// How lines are written back. The routines read it; the numbers stand in lines_amd64.h.
const (
	howCLWB uint8 = iota
	howCLFLUSHOPT
	howCLFLUSH
)

var (
	how  = best()
	wide = cpu.X86.HasAVX // an aligned store of 16 bytes is one
)

// cpuid returns what the CPUID instruction says.
func cpuid(leaf, subleaf uint32) (eax, ebx, ecx, edx uint32)

func best() uint8 {
	const clflushopt, clwb = 1 << 23, 1 << 24 // leaf 7, EBX
	if highest, _, _, _ := cpuid(0, 0); highest >= 7 {
		switch _, ebx, _, _ := cpuid(7, 0); {
		case ebx&clwb != 0:
			return howCLWB
		case ebx&clflushopt != 0:
			return howCLFLUSHOPT
		}
	}
	return howCLFLUSH
}

// Usable reports whether the CPU writes lines back on demand, and why not.
func Usable() (bool, string) {
	const clflush = 1 << 19 // leaf 1, EDX
	_, ebx, _, edx := cpuid(1, 0)
	if size := ebx >> 8 & 0xff * 8; edx&clflush == 0 || size != Size {
		return false, "the CPU has no CLFLUSH for lines of 64 bytes"
	}
	return true, ""
}

// Instructions names how lines are written back, and how they are streamed.
func Instructions() (flush, stream string) {
	return [...]string{"clwb, sfence", "clflushopt, sfence", "clflush, mfence"}[how], "movntdq, sfence"
}
