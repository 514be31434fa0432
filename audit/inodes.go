package audit

import (
	"cmp"
	"slices"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/vma"
	"github.com/safevma/safevma/rules"
)

// inodeID names what is mapped, as the lists of VMAs do: also on file systems where
// stat(2) says another device. Memfds, shared anonymous memory and System V segments are
// on one device with numbers of their own each, so the kind belongs to it; the numbers of
// System V segments begin anew in each IPC namespace. An overlay gives a file another
// device than the layer below: two views through both are not seen as one.
type inodeID struct {
	dev   vma.Dev
	inode uint64
	kind  rules.Kind
	ipc   uint64 // namespace, of System V segments
}

// hasFile reports whether a VMA maps something that another process could map too. The
// first System V segment of a namespace has inode 0.
func hasFile(v *vma.VMA) bool { return v.Inode != 0 || v.Dev != vma.Dev{} }

// mapping is a VMA that matters to the join: one through which a file can be executed, or
// shared with others.
type mapping struct {
	id   inodeID
	perm vma.Perm
	kind rules.Kind
	name string // as guarantee.Text returns it
	raw  string
	by   *subject
}

// joins reports whether a VMA can be one of several views of an inode. A private writable
// mapping is none: what is written there reaches no other.
func joins(v *vma.VMA) bool {
	return hasFile(v) && (v.Perm.Has(vma.PermExec) || v.Perm.Has(vma.PermShared))
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
		if !m.perm.Has(vma.PermExec) && !m.perm.Has(vma.PermWrite|vma.PermShared) {
			continue
		}
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

func (s *subject) inodeID(v *vma.VMA, kind rules.Kind) inodeID {
	id := inodeID{dev: v.Dev, inode: v.Inode, kind: kind}
	if kind == rules.KindSysV {
		id.ipc = s.ipcNamespace()
	}
	return id
}

// ipcNamespace is read where it is needed, which is seldom. 0 stands for all that are
// hidden.
func (s *subject) ipcNamespace() uint64 {
	if s.ipc == 0 && s.process != nil {
		if ns, err := s.process.Stat("ns/ipc"); err == nil {
			s.ipc = ns.Ino
		}
	}
	return s.ipc
}

func newMapping(s *subject, v *vma.VMA, kind rules.Kind) mapping {
	return mapping{
		id: s.inodeID(v, kind), perm: v.Perm, kind: kind,
		name: guarantee.Text(v.Name), raw: headerLine(v.Raw), by: s,
	}
}
