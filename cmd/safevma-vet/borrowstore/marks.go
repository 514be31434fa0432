package borrowstore

import (
	"go/types"

	"github.com/safevma/safevma/cmd/safevma-vet/pool"
)

// set holds what a value may have to do with: borrowed memory, the transaction, and what
// the parameters of the declared function point to.
type set uint64

const (
	borrowed set = 1 << iota
	transaction
	firstParameter
	parameters = ^(borrowed | transaction)
)

// parameter returns the set of parameter i. Those beyond 62 are not followed.
func parameter(i int) set { return firstParameter << i }

// mark is what is known of a value: what it points into (at), and what the memory behind
// it, or it itself as a struct, holds pointers into (in).
type mark struct{ at, in set }

func (m mark) or(n mark) mark { return mark{m.at | n.at, m.in | n.in} }

func (m mark) all() set { return m.at | m.in }

// as says what a value of a type that got s from memory or a call is marked with. Pool
// memory holds no pointers, so what points to memory without pointers points into it, and
// what points to memory with pointers can only hold them.
func as(t types.Type, s set) mark {
	switch {
	case s == 0 || !mayPoint(t):
		return mark{}
	case direct(t):
		return mark{at: s}
	case opaque(t):
		return mark{s, s}
	}
	return mark{in: s}
}

// direct reports whether t points to memory without pointers, such as a pool's.
func direct(t types.Type) bool {
	switch u := t.Underlying().(type) {
	case *types.Pointer:
		return !mayPoint(u.Elem())
	case *types.Slice:
		return !mayPoint(u.Elem())
	}
	return false
}

// opaque reports whether what is behind a value of type t is not known from t.
func opaque(t types.Type) bool {
	switch u := t.Underlying().(type) {
	case *types.Interface:
		return true
	case *types.Basic:
		return u.Kind() == types.UnsafePointer
	}
	return false
}

// mayPoint reports whether a value of type t can hold a pointer through which a store is
// possible. Strings can't be stored through; a type parameter stands for plain data here.
func mayPoint(t types.Type) bool {
	if _, ok := types.Unalias(t).(*types.TypeParam); ok {
		return false
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		return u.Kind() == types.UnsafePointer
	case *types.Array:
		return mayPoint(u.Elem())
	case *types.Struct:
		return anyField(u)
	}
	return true
}

func anyField(s *types.Struct) bool {
	for f := range s.Fields() {
		if mayPoint(f.Type()) {
			return true
		}
	}
	return false
}

// own is the mark that a value has by its type alone.
func own(t types.Type) mark {
	if pool.IsTx(t) {
		return mark{at: transaction, in: transaction}
	}
	return mark{}
}
