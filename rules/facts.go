package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
)

// Facts is what one evaluation looks at. The subject of the rule must be there; what
// else is nil is unknown.
//
// Text must be as [guarantee.Text] returns it. All sizes are in bytes, all ids of
// processes are those of the PID namespace of the reader.
//
// Each type of facts has a map Unknown: the name of a fact that could not be read, such
// as "foreign_pages", and the reason. The value of that field is ignored. For a fact
// that is a map, one entry can be unknown: "kconfig.CONFIG_KFENCE". Several Facts may
// share one such map.
type Facts struct {
	VMA     *VMA
	Process *Process
	Inode   *Inode
	Memfd   *Memfd
	PIDNS   *PIDNamespace
	Host    *Host
}

// activation gives the facts to CEL without a copy.
type activation Facts

var _ cel.Activation = (*activation)(nil)

// ResolveName implements [cel.Activation].
func (a *activation) ResolveName(name string) (any, bool) {
	switch Subject(name) {
	case SubjectVMA:
		return a.VMA, a.VMA != nil
	case SubjectProcess:
		return a.Process, a.Process != nil
	case SubjectInode:
		return a.Inode, a.Inode != nil
	case SubjectMemfd:
		return a.Memfd, a.Memfd != nil
	case SubjectPIDNS:
		return a.PIDNS, a.PIDNS != nil
	case SubjectHost:
		return a.Host, a.Host != nil
	}
	return nil, false
}

// Parent implements [cel.Activation].
func (a *activation) Parent() cel.Activation { return nil }

// unknown returns the unknown facts of a subject, and whether the subject is there.
func (f *Facts) unknown(s Subject) (map[string]string, bool) {
	switch {
	case s == SubjectVMA && f.VMA != nil:
		return f.VMA.Unknown, true
	case s == SubjectProcess && f.Process != nil:
		return f.Process.Unknown, true
	case s == SubjectInode && f.Inode != nil:
		return f.Inode.Unknown, true
	case s == SubjectMemfd && f.Memfd != nil:
		return f.Memfd.Unknown, true
	case s == SubjectPIDNS && f.PIDNS != nil:
		return f.PIDNS.Unknown, true
	case s == SubjectHost && f.Host != nil:
		return f.Host.Unknown, true
	}
	return nil, false
}

// declared reports whether the user named the subject, or who uses it, as a workload.
func (f *Facts) declared(s Subject) bool {
	switch s {
	case SubjectVMA, SubjectProcess:
		return f.Process != nil && f.Process.Declared
	case SubjectInode:
		return f.Inode != nil && f.Inode.Declared
	case SubjectMemfd:
		return f.Memfd != nil && f.Memfd.Declared
	case SubjectPIDNS:
		return f.PIDNS != nil && f.PIDNS.Declared
	}
	return false
}

// Check reports an entry of an Unknown map that names no fact: such an entry would have
// no effect, and a zero would be taken for a reading.
func (f *Facts) Check() error {
	for _, s := range Subjects() {
		unknown, _ := f.unknown(s)
		for _, name := range slices.Sorted(maps.Keys(unknown)) {
			fact, key, isEntry := strings.Cut(name, ".")
			known, ok := factOf(s, fact)
			if !ok || isEntry && (!known.isMap() || key == "") {
				return fmt.Errorf("unknown fact %q: %s has no such fact", name, s)
			}
		}
	}
	return nil
}

// Unread makes an Unknown map that gives one reason for several facts.
func Unread(reason string, facts ...string) map[string]string {
	m := make(map[string]string, len(facts))
	for _, name := range facts {
		m[name] = reason
	}
	return m
}
