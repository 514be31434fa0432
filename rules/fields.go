package rules

import (
	"reflect"
	"slices"
)

// Fact describes one fact that expressions can use.
type Fact struct {
	Subject Subject
	// Name is "size" in "vma.size".
	Name string
	// Type as CEL writes it, such as "int" or "list<string>".
	Type string
	// Source is what it is read from: a file of /proc/PID for facts of a process and a
	// mapping, a file of /proc for the host's where it is not a full path.
	Source string

	index int // of the field in its struct
}

func (f *Fact) isMap() bool { return f.Type == "map<string, string>" }

// AllFacts returns all facts, by subject, in the order of their structs.
func AllFacts() []Fact {
	var all []Fact
	for _, s := range Subjects() {
		all = append(all, reference[s]...)
	}
	return all
}

// Sources returns the names of the facts of a subject that come from one source, such
// as "smaps", for [Unread].
func Sources(s Subject, source string) []string {
	var names []string
	for _, f := range reference[s] {
		if f.Source == source {
			names = append(names, f.Name)
		}
	}
	return names
}

var factStructs = map[Subject]reflect.Type{
	SubjectVMA:     reflect.TypeFor[VMA](),
	SubjectProcess: reflect.TypeFor[Process](),
	SubjectInode:   reflect.TypeFor[Inode](),
	SubjectMemfd:   reflect.TypeFor[Memfd](),
	SubjectPIDNS:   reflect.TypeFor[PIDNamespace](),
	SubjectHost:    reflect.TypeFor[Host](),
}

var reference = func() map[Subject][]Fact {
	all := make(map[Subject][]Fact, len(factStructs))
	for s, t := range factStructs {
		for i := range t.NumField() {
			field := t.Field(i)
			if name := field.Tag.Get("cel"); name != "-" {
				all[s] = append(all[s], Fact{Subject: s, Name: name, Type: celType(field.Type), Source: field.Tag.Get("source"), index: i})
			}
		}
	}
	return all
}()

func celType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Slice:
		return "list<" + celType(t.Elem()) + ">"
	case reflect.Map:
		return "map<" + celType(t.Key()) + ", " + celType(t.Elem()) + ">"
	case reflect.Int, reflect.Int64:
		return "int"
	}
	return t.Kind().String() // bool, string
}

func factOf(s Subject, name string) (Fact, bool) {
	facts := reference[s]
	if i := slices.IndexFunc(facts, func(f Fact) bool { return f.Name == name }); i >= 0 {
		return facts[i], true
	}
	return Fact{}, false
}
