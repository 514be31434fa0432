package manifest

import (
	"cmp"
	"slices"
	"strings"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/vma"
)

// Observer makes a manifest of what a program was seen to have, in one or several
// looks at it.
type Observer struct {
	program Program
	entries map[key]*seen
	look    map[key]*amount
	looks   int
}

// key is what makes two VMAs the same to a manifest.
type key struct {
	name         string
	file         bool
	perm         vma.Perm
	flags        vma.Flags
	offset, size uint64 // of files
}

type amount struct {
	count int
	bytes uint64
}

type seen struct {
	amount     // the most in one look
	looks  int // in which it was there
}

// NewObserver starts a manifest for a program.
func NewObserver(program Program) *Observer {
	return &Observer{program: program, entries: map[key]*seen{}, look: map[key]*amount{}}
}

// Add adds a VMA, as [vma.Reader.Smaps] gives it, to the look that is going on.
func (o *Observer) Add(v *vma.VMA) {
	k := keyOf(v)
	a := o.look[k]
	if a == nil {
		a = new(amount)
		o.look[k] = a
	}
	a.count++
	a.bytes += v.Size()
}

// EndLook ends a look: what was not added since the one before was not there.
func (o *Observer) EndLook() {
	o.looks++
	for k, a := range o.look {
		s := o.entries[k]
		if s == nil {
			s = new(seen)
			o.entries[k] = s
		}
		s.looks++
		s.count = max(s.count, a.count)
		s.bytes = max(s.bytes, a.bytes)
	}
	clear(o.look)
}

// Manifest returns what was seen, with room for growth: what has no file may have
// slack times the bytes and the number that were seen. Slack below 1 counts as 1.
func (o *Observer) Manifest(slack float64) *Manifest {
	slack = max(slack, 1)
	m := &Manifest{Schema: Schema, Program: o.program}
	for k, s := range o.entries {
		e := Entry{Perms: k.perm.String(), MaxCount: s.count, Required: s.looks == o.looks, perm: k.perm, flags: k.flags}
		if k.flags != 0 {
			e.Flags = k.flags.Codes()
		}
		if k.file {
			e.Path, e.Offset, e.Size = literal(k.name), &k.offset, &k.size
		} else {
			e.Name = &k.name
			e.MaxCount = int(float64(s.count) * slack)
			e.MaxBytes = uint64(float64(s.bytes) * slack)
			e.Required = e.Required && k.name != "" // allocators may do without
		}
		m.VMAs = append(m.VMAs, e)
	}
	slices.SortFunc(m.VMAs, order)
	return m
}

func order(a, b Entry) int {
	name := func(e Entry) string {
		if e.Name != nil {
			return *e.Name
		}
		return ""
	}
	value := func(p *uint64) uint64 {
		if p == nil {
			return 0
		}
		return *p
	}
	return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(value(a.Offset), value(b.Offset)), cmp.Compare(name(a), name(b)),
		cmp.Compare(a.Perms, b.Perms), slices.Compare(a.Flags, b.Flags), cmp.Compare(value(a.Size), value(b.Size)))
}

func keyOf(v *vma.VMA) key {
	k := key{name: guarantee.Text(v.Name), perm: v.Perm, flags: v.Flags & Guarded}
	k.file = (v.Dev != vma.Dev{} || v.Inode != 0) && !kernelMemory(k.name)
	if k.file {
		k.offset, k.size = v.Offset, v.Size()
	}
	return k
}

// kernelMemory reports whether a name is that of shared memory which the kernel keeps as a
// file of its own: shared anonymous memory, memfds, segments of System V, secret memory and
// huge pages. Programs resize it as they do other memory, and it has no content before it
// is mapped. A program can give a real file such a name only at the root of its file system.
func kernelMemory(name string) bool {
	name, deleted := strings.CutSuffix(name, " (deleted)")
	return deleted && (name == "/dev/zero" || name == "/secretmem" ||
		strings.HasPrefix(name, "/memfd:") || strings.HasPrefix(name, "/SYSV") || strings.HasPrefix(name, "/anon_hugepage"))
}

// literal escapes what path.Match would take as a pattern.
func literal(name string) string {
	var b []byte
	for i := range len(name) {
		switch name[i] {
		case '*', '?', '[', '\\':
			b = append(b, '\\')
		}
		b = append(b, name[i])
	}
	return string(b)
}
