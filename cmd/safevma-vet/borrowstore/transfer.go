package borrowstore

import (
	"go/token"
	"strings"

	"golang.org/x/tools/go/ssa"
)

// pass looks at each instruction once, and adds what follows from the marks so far.
func (u *unit) pass() { u.instructions(u.transfer) }

func (u *unit) transfer(f *ssa.Function, instr ssa.Instruction) {
	switch i := instr.(type) {
	case *ssa.Store:
		u.store(i.Addr, i.Pos())
		u.assign(i)
		u.keep(f, i, i.Addr, u.carried(i.Val))
	case *ssa.MapUpdate:
		s := u.carried(i.Key) | u.carried(i.Value)
		u.holdAt(i.Map, s)
		u.keep(f, i, i.Map, s)
	case *ssa.Send:
		u.leave(i.Pos(), u.carried(i.X), onChannel)
	case *ssa.Select:
		for _, state := range i.States {
			if state.Send != nil {
				u.leave(state.Pos, u.carried(state.Send), onChannel)
			}
		}
	case *ssa.Return:
		u.returns(f, i)
	case ssa.CallInstruction:
		u.call(f, i)
	case ssa.Value:
		u.set(i, u.derive(i))
	}
}

// assign notes what a store leaves in memory: of a struct that is copied, each field by itself.
func (u *unit) assign(i *ssa.Store) {
	load, ok := i.Val.(*ssa.UnOp)
	if !ok || load.Op != token.MUL || direct(load.Type()) || !mayPoint(load.Type()) {
		u.holdAt(i.Addr, u.carried(i.Val))
		return
	}
	u.holdAt(i.Addr, u.mark(load.X).all())
	for _, from := range u.places(load.X) {
		for path, s := range u.cells[from.root] {
			for _, to := range u.places(i.Addr) {
				if rest, ok := strings.CutPrefix(path, from.path); ok {
					u.hold(place{to.root, to.path + rest}, s)
				} else if strings.HasPrefix(from.path, path) {
					u.hold(to, s)
				}
			}
		}
	}
}

func (u *unit) holdAt(addr ssa.Value, s set) {
	for _, p := range u.places(addr) {
		u.hold(p, s)
	}
}

// derive says what a value is marked with because of what it is made of.
func (u *unit) derive(v ssa.Value) mark {
	if x := same(v); x != nil {
		return u.view(x, v)
	}
	switch v := v.(type) {
	case *ssa.FieldAddr:
		return u.mark(v.X)
	case *ssa.IndexAddr:
		return u.mark(v.X)
	case *ssa.UnOp:
		if v.Op == token.MUL {
			return as(v.Type(), u.mark(v.X).all()|u.held(v.X))
		}
	case *ssa.Phi:
		var m mark
		for _, e := range v.Edges {
			m = m.or(u.copied(e))
		}
		return m
	case *ssa.Field:
		return as(v.Type(), u.mark(v.X).all())
	case *ssa.Index:
		return as(v.Type(), u.mark(v.X).all())
	case *ssa.Lookup:
		return u.element(v, v.X)
	case *ssa.TypeAssert:
		return u.mark(v.X)
	case *ssa.Range:
		return mark{in: u.carried(v.X)}
	case *ssa.Next:
		return u.mark(v.Iter)
	case *ssa.Extract:
		return u.extract(v)
	case *ssa.MakeClosure:
		return u.closure(v)
	}
	return mark{}
}

// view: what an interface holds is known when it is taken out.
func (u *unit) view(from, to ssa.Value) mark {
	m := u.copied(from)
	if opaque(from.Type()) && !opaque(to.Type()) {
		return as(to.Type(), m.all())
	}
	return m
}

// copied is the mark of a copy of a pointer.
func (u *unit) copied(from ssa.Value) mark {
	m := u.mark(from)
	if !direct(from.Type()) {
		m.in |= u.held(from)
	}
	return m
}

func (u *unit) element(v, x ssa.Value) mark {
	s := u.carried(x)
	if l, ok := v.(*ssa.Lookup); ok && l.CommaOk {
		return mark{s, s}
	}
	return as(v.Type(), s)
}

func (u *unit) extract(e *ssa.Extract) mark {
	if list := u.results[e.Tuple]; e.Index < len(list) {
		return list[e.Index]
	}
	return as(e.Type(), u.mark(e.Tuple).all())
}

func (u *unit) closure(c *ssa.MakeClosure) mark {
	var s set
	for _, b := range c.Bindings {
		s |= u.carried(b)
	}
	return mark{in: s}
}

// returns notes a function's results.
func (u *unit) returns(f *ssa.Function, r *ssa.Return) {
	for i, v := range r.Results {
		s := u.carried(v)
		if f != u.root {
			u.result(f, i, len(r.Results), as(v.Type(), s))
			if u.handed[f] {
				u.leave(r.Pos(), s&^parameters, byReturn)
			}
			continue
		}
		if s&borrowed != 0 {
			u.changed = add(&u.sum.Borrowed, i) || u.changed
		}
		for _, p := range u.indices(s) {
			u.changed = add(&u.sum.Passes, [2]int{p, i}) || u.changed
		}
	}
}

// result adds to the mark of a call's, or a literal's, result.
func (u *unit) result(of ssa.Value, i, n int, m mark) {
	if u.results[of] == nil {
		u.results[of] = make([]mark, n)
	}
	if was := u.results[of][i]; was.or(m) != was {
		u.results[of][i] = was.or(m)
		u.changed = true
	}
}

// indices returns the parameters in a set.
func (u *unit) indices(s set) []int {
	var list []int
	for i := range u.root.Params {
		if s&parameter(i) != 0 {
			list = append(list, i)
		}
	}
	return list
}
