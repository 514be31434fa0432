package inspect

import (
	"fmt"
	"strings"

	"github.com/safevma/safevma/pmem"
)

// shape is a type as a tree: a struct with its fields, an array with its element, or a value.
type shape struct {
	pmem.Field
	name  string // of a field of a struct
	depth int
	inner []*shape
}

// mostDepth bounds how deep structs and arrays are in each other.
const mostDepth = 64

// newShape makes a tree of the fields of a type, which may say anything.
func newShape(t *pmem.TypeInfo) (*shape, error) {
	if len(t.Fields) == 0 || t.Fields[0].Path != "" {
		return nil, fmt.Errorf("the descriptor of type %q does not begin with the type itself", t.Name)
	}
	root := &shape{Field: t.Fields[0]}
	all := map[string]*shape{"": root}
	for _, f := range t.Fields[1:] {
		s := &shape{Field: f}
		from, element := parent(f.Path, s)
		in := all[from]
		switch {
		case in == nil || all[f.Path] != nil || in.depth == mostDepth:
			return nil, fmt.Errorf("the descriptor of type %q has a field %q that is nowhere", t.Name, f.Path)
		case element && (in.Kind != "array" || len(in.inner) > 0 || in.Count == 0 || f.Size > in.Size/in.Count):
			return nil, fmt.Errorf("the descriptor of type %q has elements %q of what is no such array", t.Name, f.Path)
		case !element && in.Kind != "struct":
			return nil, fmt.Errorf("the descriptor of type %q has a field %q of what is no struct", t.Name, f.Path)
		}
		s.depth = in.depth + 1
		in.inner = append(in.inner, s)
		all[f.Path] = s
	}
	return root, nil
}

// parent returns the path of what a field is in, and whether it is an array.
func parent(path string, s *shape) (from string, element bool) {
	if from, ok := strings.CutSuffix(path, "[]"); ok {
		return from, true
	}
	i := strings.LastIndexByte(path, '.')
	s.name = path[i+1:]
	return path[:max(i, 0)], false
}
