package borrowstore

import (
	"go/token"
	"go/types"

	"golang.org/x/tools/go/ssa"

	"github.com/safevma/safevma/cmd/safevma-vet/pool"
)

const (
	lent    = "borrowed memory"
	handle  = "the transaction"
	instead = "it is read-only; change a copy (pmem.Get) and pmem.Set it, or pmem.SetBytes"
)

func until(what string) string {
	if what == handle {
		return "a *pmem.Tx is valid until its function returns, and for one goroutine at a time"
	}
	return "it is valid until the transaction ends; keep the Ref, or a copy"
}

func passed(f *types.Func, does string) string {
	return lent + " is passed to " + f.Name() + ", which " + does + ": " + instead
}

func onChannel(what string) string { return what + " is sent on a channel: " + until(what) }

func byReturn(what string) string {
	return what + " is returned from its transaction: " + until(what)
}

func toGoroutine(what string) string { return what + " is used in another goroutine: " + until(what) }

// store is a store through an address.
func (u *unit) store(addr ssa.Value, pos token.Pos) {
	u.through(addr, pos, func() string { return "store through borrowed memory: " + instead })
}

// through: something stores through v, which may be borrowed memory or what a parameter
// points to.
func (u *unit) through(v ssa.Value, pos token.Pos, text func() string) {
	s := u.mark(v).at
	for _, p := range u.indices(s) {
		u.changed = add(&u.sum.Stores, p) || u.changed
	}
	if u.report && s&borrowed != 0 {
		u.say(pos, text())
	}
}

// keep: f stores s at an address. It stays in the transaction if the address is of a
// variable of the transaction's function, or of one within that.
func (u *unit) keep(f *ssa.Function, i ssa.Instruction, addr ssa.Value, s set) {
	if s == 0 {
		return
	}
	for _, p := range u.places(addr) {
		how := ""
		rest := s
		switch owner := u.owner(p.root).(type) {
		case *ssa.Global:
			how = "in a global variable"
		case *ssa.Parameter:
			how = "behind a parameter of the function"
			rest = u.without(s, owner)
			if holdsTx(owner.Type()) {
				rest &= transaction
			}
		case ssa.Instruction:
			if !around(u.scope(f), owner.Parent()) {
				how = "in a variable from outside of the transaction"
				rest = s &^ parameters
			}
		}
		if how != "" {
			u.leave(position(i), rest, func(what string) string { return what + " is kept " + how + ": " + until(what) })
		}
	}
}

// owner returns what the memory at root belongs to: what is reached through pointers out
// of a variable is taken as its own.
func (u *unit) owner(root ssa.Value) ssa.Value {
	seen := map[ssa.Value]bool{}
	for !seen[root] {
		seen[root] = true
		load, ok := root.(*ssa.UnOp)
		if !ok || load.Op != token.MUL {
			return root
		}
		if list := u.places(load.X); len(list) > 0 {
			root = list[0].root
		}
	}
	return root
}

// without: what comes from behind a parameter may go back there.
func (u *unit) without(s set, p *ssa.Parameter) set {
	for i, q := range u.root.Params {
		if p == q {
			return s &^ parameter(i)
		}
	}
	return s
}

// holdsTx reports whether t points to a struct with a *pmem.Tx: it lives as long as its
// transaction, and what is borrowed may be kept in it.
func holdsTx(t types.Type) bool {
	p, ok := t.Underlying().(*types.Pointer)
	if !ok {
		return false
	}
	s, ok := p.Elem().Underlying().(*types.Struct)
	if !ok {
		return false
	}
	for f := range s.Fields() {
		if pool.IsTx(f.Type()) {
			return true
		}
	}
	return false
}

// around reports whether g is f or stands in it.
func around(f, g *ssa.Function) bool {
	for ; g != nil; g = g.Parent() {
		if g == f {
			return true
		}
	}
	return false
}

// leave: s gets to a place that may outlive the transaction.
func (u *unit) leave(pos token.Pos, s set, text func(what string) string) {
	for _, p := range u.indices(s) {
		if !pool.IsTx(u.root.Params[p].Type()) {
			u.changed = add(&u.sum.Keeps, p) || u.changed
		}
	}
	if u.report && s&borrowed != 0 {
		u.say(pos, text(lent))
	}
	if u.report && s&transaction != 0 {
		u.say(pos, text(handle))
	}
}

// concurrent: these values are used in another goroutine.
func (u *unit) concurrent(i ssa.CallInstruction, values []ssa.Value) {
	for _, v := range values {
		if _, builtin := v.(*ssa.Builtin); !builtin {
			u.leave(i.Pos(), u.carried(v), toGoroutine)
		}
	}
}

// position: an instruction that has none stands at the nearest one before it in its block.
func position(i ssa.Instruction) token.Pos {
	pos := i.Pos()
	if pos.IsValid() {
		return pos
	}
	for _, other := range i.Block().Instrs {
		if other.Pos().IsValid() {
			pos = other.Pos()
		}
		if other == i && pos.IsValid() {
			return pos
		}
	}
	return i.Parent().Pos()
}
