package region

import (
	"math/bits"
	"strings"
)

// set is a set of guarantees. Its bits have the order of the table below.
type set uint16

const (
	secret set = 1 << iota
	resident
	onUse
	guarded
	sealed
	readOnly
	windowed
	noDump
	noFork
	wipeOnFork
	noExec
	noMerge
	noSwap
)

// guarantees is what there is to know of each.
var guarantees = [...]struct {
	name        string
	requirement string
	implies     set
}{
	{"Secret", "SV-LIN-01", noDump | noFork | noExec | noMerge | noSwap},
	{"Resident", "SV-RES-01", noSwap},
	{"OnUse", "SV-CMT-01", 0},
	{"Guarded", "SV-TOP-02", 0},
	{"Sealed", "SV-TOP-01", 0},
	{"ReadOnly", "SV-INT-01", noExec | noMerge},
	{"Windowed", "SV-INT-02", 0},
	{"NoDump", "SV-XDM-05", 0},
	{"NoFork", "SV-XDM-02", 0},
	{"WipeOnFork", "SV-XDM-02", 0},
	{"NoExec", "SV-XDM-03", 0},
	{"NoMerge", "SV-RES-02", 0},
	{"NoSwap", "SV-RES-02", 0},
}

// has reports whether s has all of want.
func (s set) has(want set) bool { return s&want == want }

// each calls fn with each guarantee of s.
func (s set) each(fn func(one set)) {
	for ; s != 0; s &= s - 1 {
		fn(s & -s)
	}
}

// String returns the names, joined with "+".
func (s set) String() string {
	var names []string
	s.each(func(one set) { names = append(names, guarantees[bits.TrailingZeros16(uint16(one))].name) })
	return strings.Join(names, "+")
}

// requirement returns the id for one guarantee, or for the first of several.
func (s set) requirement() string {
	if s == 0 {
		return ""
	}
	return guarantees[bits.TrailingZeros16(uint16(s))].requirement
}

// closed returns s with all that its guarantees bring along. Secret memory is all there before it
// is used, unless it is asked to come on use: newer kernels (7.3 does) look at the limit on locked
// memory when a page is touched, and answer with SIGBUS.
func (s set) closed() set {
	if s.has(secret) && !s.has(onUse) {
		s |= resident
	}
	all := s
	s.each(func(one set) { all |= guarantees[bits.TrailingZeros16(uint16(one))].implies })
	return all
}

// conflicts are guarantees that no machine can give together, and why.
var conflicts = []struct {
	pair   set
	reason string
}{
	{secret | readOnly, "secret memory has no seals: its pages can't be made read-only for good"},
	{secret | wipeOnFork, "secret memory is a shared mapping, which the kernel does not wipe (MADV_WIPEONFORK gives EINVAL); Secret alone keeps it from a child"},
	{readOnly | wipeOnFork, "read-only memory is a shared mapping, which the kernel does not wipe (MADV_WIPEONFORK gives EINVAL)"},
	{noFork | wipeOnFork, "a child can't have it wiped and not have it"},
	{resident | onUse, "resident memory is committed before use, not on use"},
	{onUse | readOnly, "read-only memory is filled, so committed, before use"},
}

// check returns the first conflict of s.
func (s set) check() error {
	for _, c := range conflicts {
		if s.has(c.pair) {
			return cannot(c.pair, c.reason, ErrConflict, nil)
		}
	}
	return nil
}
