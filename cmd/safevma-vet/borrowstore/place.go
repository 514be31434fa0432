package borrowstore

import (
	"go/token"
	"strconv"
	"strings"

	"golang.org/x/tools/go/ssa"
)

// place is a piece of memory: what a pointer was derived from, and the fields on the way.
type place struct {
	root ssa.Value
	path string // each step ends in a semicolon, so that no step begins another
}

func (p place) overlaps(path string) bool {
	return strings.HasPrefix(p.path, path) || strings.HasPrefix(path, p.path)
}

// places returns the memory that a pointer, slice or map may refer to.
func (u *unit) places(v ssa.Value) []place {
	return u.follow(v, map[ssa.Value]bool{})
}

func (u *unit) follow(v ssa.Value, seen map[ssa.Value]bool) []place {
	v = u.captured(v)
	if seen[v] {
		return nil
	}
	seen[v] = true
	switch v := v.(type) {
	case *ssa.FieldAddr:
		return u.step(v.X, strconv.Itoa(v.Field)+";", seen)
	case *ssa.IndexAddr:
		return u.step(v.X, "[];", seen)
	case *ssa.Phi:
		return u.union(v.Edges, seen)
	case *ssa.UnOp:
		if v.Op == token.MUL {
			return u.loaded(v, seen)
		}
	case *ssa.Parameter:
		if len(u.args[v]) > 0 {
			return u.union(u.args[v], seen)
		}
	case *ssa.Const:
		return nil
	}
	if x := same(v); x != nil {
		return u.follow(x, seen)
	}
	return []place{{root: v}}
}

// same returns what v is another view of, or nil.
func same(v ssa.Value) ssa.Value {
	switch v := v.(type) {
	case *ssa.Slice:
		return v.X
	case *ssa.ChangeType:
		return v.X
	case *ssa.Convert:
		return v.X
	case *ssa.MultiConvert:
		return v.X
	case *ssa.SliceToArrayPointer:
		return v.X
	case *ssa.MakeInterface:
		return v.X
	case *ssa.ChangeInterface:
		return v.X
	case *ssa.TypeAssert:
		if !v.CommaOk {
			return v.X
		}
	}
	return nil
}

func (u *unit) step(x ssa.Value, step string, seen map[ssa.Value]bool) []place {
	list := u.follow(x, seen)
	for i := range list {
		list[i].path += step
	}
	return list
}

func (u *unit) union(values []ssa.Value, seen map[ssa.Value]bool) []place {
	var list []place
	for _, v := range values {
		list = append(list, u.follow(v, seen)...)
	}
	return list
}

// loaded: a pointer that comes out of a variable is one of those that were stored to it.
func (u *unit) loaded(load *ssa.UnOp, seen map[ssa.Value]bool) []place {
	if cell, ok := u.captured(load.X).(*ssa.Alloc); ok {
		if list := u.union(u.stored[cell], seen); len(list) > 0 {
			return list
		}
	}
	return []place{{root: load}}
}
