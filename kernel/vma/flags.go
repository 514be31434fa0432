package vma

import (
	"math/bits"
	"strings"
)

// Flags is the set of VmFlags that /proc/PID/smaps prints, each under a code of two
// letters. Source: Documentation/filesystems/proc.rst and show_smap_vma_flags in
// fs/proc/task_mmu.c, Linux 3.8 to 6.18.
type Flags uint64

// The VmFlags.
const (
	FlagRead           Flags = 1 << iota // rd
	FlagWrite                            // wr
	FlagExec                             // ex
	FlagShared                           // sh
	FlagMayRead                          // mr
	FlagMayWrite                         // mw
	FlagMayExec                          // me
	FlagMayShare                         // ms
	FlagGrowsDown                        // gd
	FlagPFNMap                           // pf
	FlagLocked                           // lo
	FlagIO                               // io
	FlagSequentialRead                   // sr
	FlagRandomRead                       // rr
	FlagDontCopy                         // dc
	FlagDontExpand                       // de
	FlagLockOnFault                      // lf
	FlagAccount                          // ac
	FlagNoReserve                        // nr
	FlagHugetlb                          // ht
	FlagSync                             // sf
	FlagArch1                            // ar
	FlagWipeOnFork                       // wf
	FlagDontDump                         // dd
	FlagSoftDirty                        // sd
	FlagMixedMap                         // mm
	FlagHugepage                         // hg
	FlagNoHugepage                       // nh
	FlagMergeable                        // mg
	FlagUffdMissing                      // um
	FlagUffdWriteProt                    // uw
	FlagUffdMinor                        // ui
	FlagBTI                              // bt
	FlagMTE                              // mt
	FlagShadowStack                      // ss
	FlagSealed                           // sl
	FlagDroppable                        // dp
	FlagGuard                            // gu
	FlagDenyWrite                        // dw
	FlagNonLinear                        // nl

	// FlagUnknown is set where smaps has a code that is not in this list: the kernel
	// is newer, and says more than this package understands.
	FlagUnknown
)

// flagInfo gives each flag its code and its meaning in words, in the order of the
// bits.
var flagInfo = [...]struct{ code, words string }{
	{"rd", "readable"},
	{"wr", "writable"},
	{"ex", "executable"},
	{"sh", "shared"},
	{"mr", "may be made readable"},
	{"mw", "may be made writable"},
	{"me", "may be made executable"},
	{"ms", "may be shared"},
	{"gd", "stack that grows down"},
	{"pf", "bare page frames"},
	{"lo", "locked"},
	{"io", "device memory"},
	{"sr", "read ahead far"},
	{"rr", "no read-ahead"},
	{"dc", "not copied at fork"},
	{"de", "cannot grow by mremap"},
	{"lf", "locked on first touch"},
	{"ac", "accounted"},
	{"nr", "no swap reserved"},
	{"ht", "huge pages of hugetlbfs"},
	{"sf", "synchronous faults (DAX)"},
	{"ar", "architecture's own flag"},
	{"wf", "wiped at fork"},
	{"dd", "not in core dumps"},
	{"sd", "soft-dirty tracked"},
	{"mm", "page frames and pages mixed"},
	{"hg", "huge pages wanted"},
	{"nh", "huge pages refused"},
	{"mg", "mergeable (KSM)"},
	{"um", "userfaultfd: missing pages"},
	{"uw", "userfaultfd: write protection"},
	{"ui", "userfaultfd: minor faults"},
	{"bt", "branch targets enforced"},
	{"mt", "memory tagging"},
	{"ss", "shadow stack"},
	{"sl", "sealed"},
	{"dp", "droppable"},
	{"gu", "has guard pages"},
	{"dw", "writes to the file denied"},
	{"nl", "non-linear"},
	{"??", "unknown to this version"},
}

var flagByCode = func() map[[2]byte]Flags {
	m := make(map[[2]byte]Flags, len(flagInfo))
	for i, f := range flagInfo[:len(flagInfo)-1] {
		m[[2]byte{f.code[0], f.code[1]}] = 1 << i
	}
	return m
}()

// ParseFlag returns the flag with the given code of two letters.
func ParseFlag(code string) (Flags, bool) {
	if len(code) != 2 {
		return 0, false
	}
	f, ok := flagByCode[[2]byte{code[0], code[1]}]
	return f, ok
}

// Has reports whether f holds all of want.
func (f Flags) Has(want Flags) bool { return f&want == want }

// Codes returns the two-letter codes in the order of the bits.
func (f Flags) Codes() []string {
	codes := make([]string, 0, bits.OnesCount64(uint64(f)))
	for i := range flagInfo {
		if f&(1<<i) != 0 {
			codes = append(codes, flagInfo[i].code)
		}
	}
	return codes
}

// InWords returns the meanings of the flags, in the order of Codes.
func (f Flags) InWords() []string {
	words := make([]string, 0, bits.OnesCount64(uint64(f)))
	for rest := f; rest != 0; rest &= rest - 1 {
		words = append(words, (rest & -rest).Words())
	}
	return words
}

// Words returns the meaning of a single flag, such as "locked".
func (f Flags) Words() string {
	if f == 0 {
		return ""
	}
	if i := bits.TrailingZeros64(uint64(f)); i < len(flagInfo) {
		return flagInfo[i].words
	}
	return "unknown to this version"
}

// String returns the codes as smaps prints them.
func (f Flags) String() string { return strings.Join(f.Codes(), " ") }
