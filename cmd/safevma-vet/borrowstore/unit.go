package borrowstore

import (
	"go/types"
	"strings"

	"golang.org/x/tools/go/ssa"

	"github.com/safevma/safevma/cmd/safevma-vet/pool"
)

// unit is a declared function with the literals in it: they share variables, so they are
// looked at together.
type unit struct {
	*analyzed
	root    *ssa.Function
	object  *types.Func // nil: the initialiser of variables
	sum     *Summary
	funcs   []*ssa.Function
	report  bool // the last pass, after all is settled
	changed bool

	bound   map[*ssa.FreeVar]ssa.Value     // what a literal's captured variable is outside of it
	stored  map[*ssa.Alloc][]ssa.Value     // what is stored to a variable as a whole
	args    map[*ssa.Parameter][]ssa.Value // what a literal is called with here
	handed  map[*ssa.Function]bool         // literals that are given to others, outside of a transaction
	values  map[ssa.Value]mark
	results map[ssa.Value][]mark // of calls and literals, each result
	cells   map[ssa.Value]map[string]set
}

func newUnit(a *analyzed, root *ssa.Function) *unit {
	u := &unit{
		analyzed: a, root: root, object: object(root), sum: new(Summary),
		bound: map[*ssa.FreeVar]ssa.Value{}, stored: map[*ssa.Alloc][]ssa.Value{},
		args: map[*ssa.Parameter][]ssa.Value{}, handed: map[*ssa.Function]bool{},
		values: map[ssa.Value]mark{}, results: map[ssa.Value][]mark{}, cells: map[ssa.Value]map[string]set{},
	}
	if u.object != nil {
		a.summaries[u.object] = u.sum
	}
	u.collect(root)
	u.instructions(u.bind)
	for i, p := range root.Params {
		u.values[p] = as(p.Type(), parameter(i)).or(own(p.Type()))
	}
	return u
}

func (u *unit) collect(f *ssa.Function) {
	u.funcs = append(u.funcs, f)
	for _, literal := range f.AnonFuncs {
		u.collect(literal)
	}
}

func (u *unit) instructions(visit func(*ssa.Function, ssa.Instruction)) {
	for _, f := range u.funcs {
		for _, b := range f.Blocks {
			for _, instr := range b.Instrs {
				visit(f, instr)
			}
		}
	}
}

// bind notes what does not depend on marks: captured variables, and what is stored where.
func (u *unit) bind(_ *ssa.Function, instr ssa.Instruction) {
	switch i := instr.(type) {
	case *ssa.MakeClosure:
		for n, v := range i.Fn.(*ssa.Function).FreeVars {
			u.bound[v] = i.Bindings[n]
		}
	case *ssa.Store:
		if cell, ok := u.captured(i.Addr).(*ssa.Alloc); ok {
			u.stored[cell] = append(u.stored[cell], i.Val)
		}
	}
}

// captured follows a captured variable to the function that declares it.
func (u *unit) captured(v ssa.Value) ssa.Value {
	for {
		f, ok := v.(*ssa.FreeVar)
		if !ok || u.bound[f] == nil {
			return v
		}
		v = u.bound[f]
	}
}

func (u *unit) inside(f *ssa.Function) bool {
	for ; f != nil; f = f.Parent() {
		if f == u.root {
			return true
		}
	}
	return false
}

// scope returns the function that a transaction belongs to, seen from f: the nearest one
// around f, or f itself, that takes a *pmem.Tx.
func (u *unit) scope(f *ssa.Function) *ssa.Function {
	for g := f; g != nil; g = g.Parent() {
		if takesTx(g) {
			return g
		}
	}
	return u.root
}

func takesTx(f *ssa.Function) bool {
	for _, p := range f.Params {
		if pool.IsTx(p.Type()) {
			return true
		}
	}
	return false
}

// mark returns what is known of a value.
func (u *unit) mark(v ssa.Value) mark {
	v = u.captured(v)
	return u.values[v].or(own(v.Type()))
}

// set adds to what is known of a value.
func (u *unit) set(v ssa.Value, m mark) {
	if !mayPoint(v.Type()) {
		return
	}
	if was := u.values[v]; was.or(m) != was {
		u.values[v] = was.or(m)
		u.changed = true
	}
}

// carried is all that a value leads to: what it points into, and what was stored behind it.
func (u *unit) carried(v ssa.Value) set {
	if c, ok := v.(*ssa.Const); ok && c.Value == nil || !mayPoint(v.Type()) {
		return 0
	}
	m := u.mark(v)
	if direct(v.Type()) {
		return m.at
	}
	return m.all() | u.held(v)
}

// held is what was stored in the memory behind a pointer, slice or map.
func (u *unit) held(v ssa.Value) set {
	var s set
	for _, p := range u.places(v) {
		for path, held := range u.cells[p.root] {
			if p.overlaps(path) {
				s |= held
			}
		}
	}
	return s
}

// longest keeps paths finite: a longer one stands for all that begin with it.
const longest = 128

// hold notes what is stored in the memory behind a pointer, slice or map.
func (u *unit) hold(p place, s set) {
	if s == 0 {
		return
	}
	if len(p.path) > longest {
		p.path = p.path[:strings.LastIndexByte(p.path[:longest], ';')+1]
	}
	if u.cells[p.root] == nil {
		u.cells[p.root] = map[string]set{}
	}
	if was := u.cells[p.root][p.path]; was|s != was {
		u.cells[p.root][p.path] = was | s
		u.changed = true
	}
}
