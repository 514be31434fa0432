package layout

import (
	"fmt"
	"go/types"
	"strings"

	"github.com/safevma/safevma/cmd/safevma-vet/pool"
)

// sizes are those of amd64 and of arm64, which are the same.
var sizes = types.SizesFor("gc", "amd64")

// whole is the path of the line that stands for the type itself.
const whole = "."

// field is one line of a lock file: a field, its way from the type, and where it lies in bytes.
type field struct {
	typ, path, kind string
	offset, size    int64
}

type measurer struct {
	c    *checker
	typ  string
	list []field
}

// measure returns the layout of a type of fixed size.
func (c *checker) measure(t types.Type) []field {
	m := measurer{c: c, typ: c.name(t)}
	m.add(whole, t, 0)
	m.inside("", t, 0)
	return m.list
}

func (m *measurer) add(path string, t types.Type, offset int64) {
	m.list = append(m.list, field{m.typ, path, m.kind(t), offset, sizes.Sizeof(t)})
}

// inside adds the fields of a struct, or of the first element of an array of structs.
func (m *measurer) inside(path string, t types.Type, offset int64) {
	if pool.Type(t, "Ref") {
		return
	}
	switch u := t.Underlying().(type) {
	case *types.Array:
		m.inside(path+"[]", u.Elem(), offset)
	case *types.Struct:
		var fields []*types.Var
		for f := range u.Fields() {
			fields = append(fields, f)
		}
		for i, at := range sizes.Offsetsof(fields) {
			name := join(path, called(fields, i))
			m.add(name, fields[i].Type(), offset+at)
			m.inside(name, fields[i].Type(), offset+at)
		}
	}
}

// called is a field's name; blank ones are counted, so that each has its own.
func called(fields []*types.Var, i int) string {
	if fields[i].Name() != "_" {
		return fields[i].Name()
	}
	n := 0
	for _, f := range fields[:i] {
		if f.Name() == "_" {
			n++
		}
	}
	return fmt.Sprintf("_#%d", n)
}

// kind is what the bytes are. Names of types are left out, but for what a reference
// refers to: another name for the same bytes changes nothing.
func (m *measurer) kind(t types.Type) string {
	if pool.Type(t, "Ref") {
		args := types.Unalias(t).(*types.Named).TypeArgs()
		var names []string
		for arg := range args.Types() {
			names = append(names, m.c.name(arg))
		}
		return "Ref[" + strings.Join(names, ",") + "]"
	}
	switch u := t.Underlying().(type) {
	case *types.Array:
		return fmt.Sprintf("[%d]%s", u.Len(), m.kind(u.Elem()))
	case *types.Struct:
		return "struct"
	case *types.Basic:
		return types.Typ[u.Kind()].Name() // byte is uint8
	default:
		return u.String()
	}
}
