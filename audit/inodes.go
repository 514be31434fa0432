package audit

import (
	"cmp"
	"slices"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/vma"
	"github.com/safevma/safevma/rules"
)

// inodeID names a file as the lists of VMAs do. It is the same in all of them, also on
// file systems where stat(2) says another device.
type inodeID struct {
	dev   vma.Dev
	inode uint64
}

// mapping is a VMA that matters to the join: one through which a file can be written, or
// executed.
type mapping struct {
	id   inodeID
	perm vma.Perm
	kind rules.Kind
	name string // as guarantee.Text returns it
	raw  string
	by   *subject
}

// joins reports whether a VMA can be one of the two views of an inode. A private
// writable mapping is none: what is written there reaches no other.
func joins(v *vma.VMA) bool {
	return v.Inode != 0 && (v.Perm.Has(vma.PermExec) || v.Perm.Has(vma.PermWrite|vma.PermShared))
}

// joinedInode is a file with a writable and an executable view.
type joinedInode struct {
	facts rules.Inode
	raw   []string
	by    []*subject
}

// joinInodes finds each inode that some process maps writable and shared, and some
// process, perhaps another one, executable. Order of subjects does not matter; the
// result is in the order of device and inode.
func joinInodes(subjects []*subject) []joinedInode {
	views := map[inodeID][]mapping{}
	written := map[inodeID]bool{}
	for _, s := range subjects {
		for _, m := range s.views {
			views[m.id] = append(views[m.id], m)
			if m.perm.Has(vma.PermWrite | vma.PermShared) {
				written[m.id] = true
			}
		}
	}
	var joined []joinedInode
	for id := range written {
		if slices.ContainsFunc(views[id], func(m mapping) bool { return m.perm.Has(vma.PermExec) }) {
			joined = append(joined, newJoinedInode(id, views[id]))
		}
	}
	slices.SortFunc(joined, func(a, b joinedInode) int {
		return cmp.Or(cmp.Compare(a.facts.Device, b.facts.Device), cmp.Compare(a.facts.Inode, b.facts.Inode))
	})
	return joined
}

func newJoinedInode(id inodeID, views []mapping) joinedInode {
	j := joinedInode{facts: rules.Inode{
		Device: id.dev.String(), Inode: int64(id.inode), Path: views[0].name, Kind: views[0].kind.String(),
	}}
	for _, m := range views {
		pid := m.by.info.PID
		if m.perm.Has(vma.PermWrite | vma.PermShared) {
			j.facts.Writers = appendNew(j.facts.Writers, pid)
		}
		if m.perm.Has(vma.PermExec) {
			j.facts.Executors = appendNew(j.facts.Executors, pid)
		}
		j.facts.Declared = j.facts.Declared || m.by.declared
		j.raw = append(j.raw, m.by.line(m.raw))
		j.by = appendNew(j.by, m.by)
	}
	j.facts.CrossProcess = len(j.by) > 1 && (len(j.facts.Writers) > 1 || len(j.facts.Executors) > 1 || j.facts.Writers[0] != j.facts.Executors[0])
	return j
}

func appendNew[T comparable](list []T, v T) []T {
	if slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}

func newMapping(s *subject, v *vma.VMA, kind rules.Kind) mapping {
	return mapping{
		id: inodeID{v.Dev, v.Inode}, perm: v.Perm, kind: kind,
		name: guarantee.Text(v.Name), raw: headerLine(v.Raw), by: s,
	}
}
