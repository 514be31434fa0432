package layout

import (
	"fmt"
	"go/types"
	"strings"

	"github.com/safevma/safevma/cmd/safevma-vet/pool"
)

// plain finds types that can't live in a pool: what the library refuses when it first
// sees them.
func (c *checker) plain(uses []use) {
	for _, u := range uses {
		if refused := refused(u.typ); len(refused) > 0 {
			c.say(u.pos, c.name(u.typ)+" can't live in a pool: "+strings.Join(refused, "; "))
		}
	}
}

// refused returns what is wrong with a type that is to live in a pool.
func refused(t types.Type) []string {
	if _, ok := types.Unalias(t).(*types.Struct); ok {
		return []string{"it is a struct without a name, by which pools know types"}
	}
	if list := refuse("", t); len(list) > 0 || open(t) {
		return list
	}
	if path, ok := tight("", t); !ok {
		return []string{fmt.Sprintf("%s is a long array with padding in its elements: add fields where it is", path)}
	}
	return nil
}

// refuse returns each part of t that is not plain data, with the way to it.
func refuse(path string, t types.Type) []string {
	if pool.Type(t, "Ref") {
		return nil
	}
	switch u := types.Unalias(t).(type) {
	case *types.TypeParam:
		return nil
	case *types.Array:
		if u.Len() == 0 {
			return nil
		}
		return refuse(path+"[]", u.Elem())
	case *types.Struct:
		return refuseFields(path, u)
	case *types.Named:
		return refuse(path, u.Underlying())
	}
	if why := notPlain(t); why != "" {
		if path == "" {
			path = "it"
		}
		return []string{path + " is " + why}
	}
	return nil
}

func refuseFields(path string, s *types.Struct) []string {
	var list []string
	for f := range s.Fields() {
		list = append(list, refuse(join(path, f.Name()), f.Type())...)
	}
	return list
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

const dead = ", which means nothing in another process: "

func notPlain(t types.Type) string {
	switch u := t.Underlying().(type) {
	case *types.Basic:
		return notFixed(u)
	case *types.Pointer:
		return "a pointer" + dead + "use pmem.Ref"
	case *types.Slice:
		return "a slice" + dead + "use an array, or pmem.Ref[pmem.Bytes]"
	case *types.Map:
		return "a map" + dead + "use a container of pmem"
	case *types.Interface:
		return "an interface" + dead + "use a type"
	case *types.Chan:
		return "a channel" + dead + "leave it out"
	case *types.Signature:
		return "a function" + dead + "leave it out"
	}
	return "of an unknown kind"
}

func notFixed(b *types.Basic) string {
	switch {
	case b.Kind() == types.Int || b.Kind() == types.Uint:
		return fmt.Sprintf("%s, whose size is the machine's: use %[1]s64", b.Name())
	case b.Kind() == types.Uintptr:
		return "uintptr, whose size is the machine's: use uint64"
	case b.Kind() == types.UnsafePointer:
		return "a pointer" + dead + "use pmem.Ref"
	case b.Info()&types.IsString != 0:
		return "a string" + dead + "use an array of bytes, or pmem.Ref[pmem.Bytes]"
	}
	return ""
}

// name writes types of other packages with their import path.
func (c *checker) name(t types.Type) string {
	return types.TypeString(t, c.qualify)
}

func (c *checker) qualify(p *types.Package) string {
	if p == c.pass.Pkg {
		return ""
	}
	return p.Path()
}
