package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// linter walks a checked expression. It finds what the expression needs, and refuses
// what would make that unsure, or what CEL checks only when it runs.
type linter struct {
	subject    Subject
	ast        *ast.AST
	needs      []need
	loops      bool
	complaints []complaint
}

func lint(s Subject, a *ast.AST) *linter {
	l := &linter{subject: s, ast: a}
	l.walk(a.Expr())
	return l
}

func (l *linter) refuse(id int64, format string, args ...any) {
	offset, _ := l.ast.SourceInfo().GetOffsetRange(id)
	l.complaints = append(l.complaints, complaint{int(offset.Start), fmt.Sprintf(format, args...)})
}

func (l *linter) walk(e ast.Expr) {
	switch e.Kind() {
	case ast.IdentKind:
		if name := e.AsIdent(); l.isVariable(name) {
			l.refuse(e.ID(), "%s stands alone: use one of its facts, such as %s.%s", name, name, reference[Subject(name)][0].Name)
		}
	case ast.SelectKind:
		l.sel(e)
	case ast.CallKind:
		l.call(e)
	case ast.ComprehensionKind:
		l.loop(e.AsComprehension(), e.ID())
	case ast.ListKind:
		l.all(e.AsList().Elements())
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			l.walk(entry.AsMapEntry().Key())
			l.walk(entry.AsMapEntry().Value())
		}
	case ast.StructKind:
		l.refuse(e.ID(), "a rule can't make facts of its own: compare the facts that are there")
	}
}

func (l *linter) all(exprs []ast.Expr) {
	for _, e := range exprs {
		l.walk(e)
	}
}

func (l *linter) isVariable(name string) bool {
	return slices.Contains(l.subject.variables(), Subject(name))
}

// fact returns the fact that e selects from a variable.
func (l *linter) fact(e ast.Expr) (need, bool) {
	if e.Kind() != ast.SelectKind {
		return need{}, false
	}
	operand := e.AsSelect().Operand()
	if operand.Kind() != ast.IdentKind || !l.isVariable(operand.AsIdent()) {
		return need{}, false
	}
	return newNeed(Subject(operand.AsIdent()), e.AsSelect().FieldName()), true
}

func (l *linter) sel(e ast.Expr) {
	s := e.AsSelect()
	if n, ok := l.fact(e); ok {
		if s.IsTestOnly() {
			l.refuse(e.ID(), "has(%s) says nothing: a fact is there or unknown, and a rule that needs an unknown fact is unknown", n)
		}
		if !slices.Contains(l.needs, n) {
			l.needs = append(l.needs, n)
		}
		return
	}
	l.key(s.Operand(), s.FieldName(), e.ID())
	l.dynamic(s.Operand())
	l.walk(s.Operand())
}

func (l *linter) call(e ast.Expr) {
	c := e.AsCall()
	name := c.FunctionName()
	args := c.Args()
	switch {
	case !functions[name]:
		l.refuse(e.ID(), "%s() can't be used in a rule; there are %s", name, strings.Join(callable(), ", "))
	case name == "matches" && args[len(args)-1].Kind() != ast.LiteralKind:
		l.refuse(e.ID(), "matches() needs its pattern written out as text")
	case name == operators.Index:
		l.dynamic(args[0])
		if key := args[1]; key.Kind() == ast.LiteralKind {
			if text, ok := key.AsLiteral().(types.String); ok {
				l.key(args[0], string(text), e.ID())
			}
		}
	}
	if c.IsMemberFunction() {
		l.walk(c.Target())
	}
	l.all(args)
}

// dynamic refuses to look into a value whose type is not known before it runs.
func (l *linter) dynamic(e ast.Expr) {
	if l.ast.GetType(e.ID()).Kind() == types.DynKind {
		l.refuse(e.ID(), "the type of this is not known: let all elements of a list or map have one type")
	}
}

// key refuses a name that host.hardening never has.
func (l *linter) key(operand ast.Expr, key string, id int64) {
	if n, ok := l.fact(operand); ok && n.String() == "host.hardening" && !slices.Contains(Hardening(), key) {
		reason := fmt.Sprintf("host.hardening has no %q", key)
		if near := nearest(key, Hardening()); near != "" {
			reason += fmt.Sprintf(": did you mean %q?", near)
		}
		l.refuse(id, "%s", reason)
	}
}

func (l *linter) loop(c ast.ComprehensionExpr, id int64) {
	l.loops = true
	for _, name := range []string{c.IterVar(), c.IterVar2()} {
		if slices.Contains(Subjects(), Subject(name)) {
			l.refuse(id, "the loop calls its element %q, which is the name of facts: give it another name", name)
		}
	}
	l.all([]ast.Expr{c.IterRange(), c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()})
}

func callable() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(functions)) {
		if name[0] >= 'a' && name[0] <= 'z' {
			names = append(names, name+"()")
		}
	}
	return names
}
