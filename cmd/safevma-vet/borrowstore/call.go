package borrowstore

import (
	"go/constant"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/ssa"

	"github.com/safevma/safevma/cmd/safevma-vet/pool"
)

func (u *unit) call(f *ssa.Function, i ssa.CallInstruction) {
	c := i.Common()
	if _, ok := i.(*ssa.Go); ok {
		u.concurrent(i, append([]ssa.Value{c.Value}, c.Args...))
	}
	if b, ok := c.Value.(*ssa.Builtin); ok {
		u.builtin(i, b.Name(), c.Args)
		return
	}
	if c.IsInvoke() {
		u.invoke(i, c)
		return
	}
	for _, target := range u.targets(c.Value) {
		if target != u.root && u.inside(target) {
			u.literal(i, target, c.Args)
		} else if obj := object(target); obj != nil {
			u.declared(i, obj, arguments(target, c))
		}
	}
	u.given(c)
}

// targets returns the functions that a call may reach, as far as they are seen here.
func (u *unit) targets(v ssa.Value) []*ssa.Function {
	var list []*ssa.Function
	for _, p := range u.places(v) {
		switch root := p.root.(type) {
		case *ssa.Function:
			list = append(list, root)
		case *ssa.MakeClosure:
			list = append(list, root.Fn.(*ssa.Function))
		}
	}
	return list
}

// arguments are those of the declared function: a bound method's receiver is not among a
// call's.
func arguments(target *ssa.Function, c *ssa.CallCommon) []ssa.Value {
	if closure, ok := c.Value.(*ssa.MakeClosure); ok && target.Synthetic != "" {
		return append(append([]ssa.Value{}, closure.Bindings...), c.Args...)
	}
	return c.Args
}

// literal: a literal's parameters are what it is called with.
func (u *unit) literal(i ssa.CallInstruction, target *ssa.Function, args []ssa.Value) {
	for n, p := range target.Params {
		if n < len(args) {
			list := u.args[p]
			if add(&list, args[n]) {
				u.args[p], u.changed = list, true
			}
			u.set(p, u.copied(args[n]))
		}
	}
	u.resultsOf(i, u.results[target])
}

func (u *unit) resultsOf(i ssa.CallInstruction, marks []mark) {
	v := i.Value()
	if v == nil {
		return
	}
	if _, ok := v.Type().(*types.Tuple); ok {
		for n, m := range marks {
			u.result(v, n, len(marks), m)
		}
	} else if len(marks) == 1 {
		u.set(v, marks[0])
	}
}

// declared applies what is known of a declared function to its arguments and results.
func (u *unit) declared(i ssa.CallInstruction, obj *types.Func, args []ssa.Value) {
	sum := u.summary(obj)
	for _, p := range sum.Stores {
		if p < len(args) {
			u.through(args[p], i.Pos(), func() string { return passed(obj, "stores through it") })
		}
	}
	for _, p := range sum.Keeps {
		if p < len(args) {
			u.leave(i.Pos(), u.carried(args[p]), func(what string) string {
				return what + " is passed to " + obj.Name() + ", which keeps it: " + until(what)
			})
		}
	}
	if runsElsewhere(obj) {
		u.concurrent(i, args[len(args)-1:])
	}
	results := obj.Signature().Results()
	marks := make([]mark, results.Len())
	for _, r := range sum.Borrowed {
		marks[r] = marks[r].or(as(results.At(r).Type(), borrowed))
	}
	for _, pass := range sum.Passes {
		if pass[0] < len(args) {
			marks[pass[1]] = marks[pass[1]].or(u.passes(args[pass[0]], results.At(pass[1]).Type()))
		}
	}
	u.resultsOf(i, marks)
}

// passes: a result of a generic type is what the argument is.
func (u *unit) passes(arg ssa.Value, result types.Type) mark {
	if types.Identical(arg.Type(), result) || !mayPoint(result) {
		return u.copied(arg)
	}
	return as(result, u.carried(arg))
}

// invoke: of methods behind interfaces only reading into a buffer is known.
func (u *unit) invoke(i ssa.CallInstruction, c *ssa.CallCommon) {
	if reads(c.Method) {
		u.through(c.Args[0], i.Pos(), func() string { return passed(c.Method, "stores through it") })
	}
}

func (u *unit) builtin(i ssa.CallInstruction, name string, args []ssa.Value) {
	switch name {
	case "copy", "clear":
		u.through(args[0], i.Pos(), func() string { return name + " stores through borrowed memory: " + instead })
	case "append":
		u.append(i, args)
	case "Slice", "SliceData", "Add": // of package unsafe
		if v := i.Value(); v != nil {
			u.set(v, u.copied(args[0]))
		}
	}
}

// append stores behind the end of a slice that has room. One that was cut to have none
// (b[:n:n]) is copied instead.
func (u *unit) append(i ssa.CallInstruction, args []ssa.Value) {
	var m mark
	if !full(args[0]) {
		u.through(args[0], i.Pos(), func() string {
			return "append may store through borrowed memory: " + instead + ", or append to a copy"
		})
		m = u.copied(args[0])
	}
	if s, ok := i.Value().Type().Underlying().(*types.Slice); ok && mayPoint(s.Elem()) && len(args) > 1 {
		m.in |= u.carried(args[1])
	}
	u.set(i.Value(), m)
}

func full(v ssa.Value) bool {
	s, ok := v.(*ssa.Slice)
	if !ok || s.Max == nil || s.High == nil {
		return false
	}
	high, ok1 := s.High.(*ssa.Const)
	end, ok2 := s.Max.(*ssa.Const)
	return s.High == s.Max || ok1 && ok2 && constant.Compare(high.Value, token.EQL, end.Value)
}

// given notes which literals are given to functions that are not of this unit, outside of
// a transaction: what such a literal returns leaves the transaction.
func (u *unit) given(c *ssa.CallCommon) {
	for _, arg := range c.Args {
		if pool.IsTx(arg.Type()) {
			return
		}
	}
	for _, arg := range c.Args {
		if _, ok := arg.Type().Underlying().(*types.Signature); !ok {
			continue
		}
		for _, f := range u.targets(arg) {
			if f != u.root && u.inside(f) && takesTx(f) && !u.handed[f] {
				u.handed[f], u.changed = true, true
			}
		}
	}
}
