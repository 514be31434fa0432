package verify

import (
	"github.com/safevma/safevma/kernel/memfd"
	"github.com/safevma/safevma/kernel/vma"
)

// area is memory that shows protection: VMAs one behind the other, of the same kind.
type area struct {
	start, end uint64
	kind       memfd.Kind
	vmas       []*vma.VMA
}

// special are the VMAs of the kernel itself.
const special = vma.FlagPFNMap | vma.FlagIO | vma.FlagMixedMap

// protective are the flags that a program asks for.
const protective = vma.FlagLocked | vma.FlagDontCopy | vma.FlagWipeOnFork | vma.FlagSealed | vma.FlagDontDump

// shows reports whether a VMA has something to verify.
func (x *examination) shows(v *vma.VMA) bool {
	switch {
	case len(v.Name) > 0 && v.Name[0] == '[' && string(v.Name) != "[heap]" && string(v.Name) != "[stack]" || v.Flags&special != 0:
		return false
	case v.Flags.Has(vma.FlagWrite | vma.FlagExec), v.Flags.Has(vma.FlagGuard), x.kind(v) == memfd.Secret:
		return true
	case v.Flags.Has(vma.FlagDroppable):
		return v.Flags&vma.FlagLocked != 0
	case closed(v) && v.Flags&vma.FlagLocked == 0: // a guard, a reservation
		return false
	case v.Flags&protective == vma.FlagSealed: // so is every program's text where the loader seals it
		return v.Inode == 0 || x.kind(v) == memfd.Memfd
	}
	return v.Flags&protective != 0
}

func (x *examination) kind(v *vma.VMA) memfd.Kind {
	return x.devices.Classify(v.Dev.Major, v.Dev.Minor, string(v.Name))
}

// closed reports whether nothing can access a VMA.
func closed(v *vma.VMA) bool {
	return v.Perm&(vma.PermRead|vma.PermWrite|vma.PermExec) == 0
}

// find groups the VMAs that show something. A region that lost a flag on one page is still one
// area: neighbours belong together when they are of the same file, or of none, and as shared.
func (x *examination) find(from, to uint64) []area {
	var areas []area
	for i := range x.space.VMAs {
		v := &x.space.VMAs[i]
		inside := v.Start < to && from < v.End
		if !inside || !x.shows(v) && !x.asked(v) {
			continue
		}
		if n := len(areas) - 1; n >= 0 && areas[n].end == v.Start && areas[n].goesOn(v) {
			areas[n].end = v.End
			areas[n].vmas = append(areas[n].vmas, v)
			continue
		}
		areas = append(areas, area{v.Start, v.End, x.kind(v), []*vma.VMA{v}})
	}
	return areas
}

// asked: with addresses, what is there is verified whatever it shows, but for guards.
func (x *examination) asked(v *vma.VMA) bool { return x.options.ranged() && !closed(v) }

func (a *area) goesOn(v *vma.VMA) bool {
	first := a.vmas[0]
	return first.Dev == v.Dev && first.Inode == v.Inode && first.Perm == v.Perm
}

// all reports whether all VMAs have the flags; any, whether one has one of them.
func (a *area) all(f vma.Flags) bool {
	for _, v := range a.vmas {
		if !v.Flags.Has(f) {
			return false
		}
	}
	return true
}

func (a *area) any(f vma.Flags) bool {
	for _, v := range a.vmas {
		if v.Flags&f != 0 {
			return true
		}
	}
	return false
}
