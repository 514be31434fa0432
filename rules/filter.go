package rules

import (
	"slices"
	"strings"

	"github.com/safevma/safevma/kernel/vma"
)

// Filter is a test of a mapping that costs a few nanoseconds. All its parts must agree;
// the empty filter lets everything pass.
type Filter struct {
	// Perms are letters of rwxsp that the mapping must have; s is shared, p private.
	Perms string `json:"perms,omitempty"`
	// Flags are the VmFlags that it must have, NotFlags those that it must not have.
	Flags    []string `json:"flags,omitempty"`
	NotFlags []string `json:"not_flags,omitempty"`
	// Kinds are what it may be; empty means anything.
	Kinds []string `json:"kinds,omitempty"`
}

// Empty reports whether everything passes.
func (f *Filter) Empty() bool {
	return f.Perms == "" && len(f.Flags)+len(f.NotFlags)+len(f.Kinds) == 0
}

// sieve is a filter as bits. The zero value lets everything pass.
type sieve struct {
	perms, notPerms vma.Perm
	flags, notFlags vma.Flags
	notKinds        uint32

	needs []need // the facts that it reads
}

// needs are the facts that a filter reads.
func (f *Filter) needs() []need {
	var all []need
	if f.Perms != "" {
		all = append(all, newNeed(SubjectVMA, "perms"))
	}
	if len(f.Kinds) > 0 {
		all = append(all, newNeed(SubjectVMA, "kind"))
	}
	if len(f.Flags)+len(f.NotFlags) > 0 {
		all = append(all, newNeed(SubjectVMA, "flags"))
	}
	return all
}

const permLetters = "rwxsp"

// sieve needs a filter whose parts have been checked.
func (f *Filter) sieve() sieve {
	s := sieve{needs: f.needs()}
	for _, letter := range f.Perms {
		switch letter {
		case 'r':
			s.perms |= vma.PermRead
		case 'w':
			s.perms |= vma.PermWrite
		case 'x':
			s.perms |= vma.PermExec
		case 's':
			s.perms |= vma.PermShared
		case 'p':
			s.notPerms |= vma.PermShared
		}
	}
	for _, code := range f.Flags {
		flag, _ := vma.ParseFlag(code)
		s.flags |= flag
	}
	for _, code := range f.NotFlags {
		flag, _ := vma.ParseFlag(code)
		s.notFlags |= flag
	}
	if len(f.Kinds) > 0 {
		s.notKinds = ^uint32(0)
	}
	for _, name := range f.Kinds {
		kind, _ := ParseKind(name)
		s.notKinds &^= 1 << kind
	}
	return s
}

func (s *sieve) matches(perm vma.Perm, flags vma.Flags, kind Kind) bool {
	return perm&s.perms == s.perms && perm&s.notPerms == 0 &&
		flags&s.flags == s.flags && flags&s.notFlags == 0 &&
		s.notKinds&(1<<kind) == 0
}

// tryFilter applies the filter to facts. A part that is not known does not decide: then
// missing names it, unless another part says no.
func (r *Rule) tryFilter(v *VMA) (passes bool, missing []need) {
	for _, n := range r.sieve.needs {
		if _, ok := v.Unknown[n.fact]; ok {
			missing = append(missing, n)
			continue
		}
		if !r.Filter.part(n.fact, v) {
			return false, nil
		}
	}
	return len(missing) == 0, missing
}

// part applies the part of the filter that reads one fact.
func (f *Filter) part(fact string, v *VMA) bool {
	switch fact {
	case "perms":
		for i := range len(f.Perms) {
			if strings.IndexByte(v.Perms, f.Perms[i]) < 0 {
				return false
			}
		}
		return true
	case "kind":
		return slices.Contains(f.Kinds, v.Kind)
	}
	for _, code := range f.Flags {
		if !slices.Contains(v.Flags, code) {
			return false
		}
	}
	for _, code := range f.NotFlags {
		if slices.Contains(v.Flags, code) {
			return false
		}
	}
	return true
}
