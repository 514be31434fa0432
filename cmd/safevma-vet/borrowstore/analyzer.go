// Package borrowstore finds stores through memory that pmem.Borrow and pmem.BorrowBytes
// lend, and borrowed memory and transactions that are kept beyond the transaction.
//
// It marks values: borrowed memory, the transaction, and what each parameter of a function
// points to. Marks follow pointers and slices through assignments, fields, closures and calls,
// without regard to the order of statements where a variable is captured or its address is
// taken. A function's Summary says what it does with its parameters; summaries of other
// packages come as facts.
package borrowstore

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"

	"github.com/safevma/safevma/cmd/safevma-vet/pool"
)

// Analyzer is the analyser, for drivers of golang.org/x/tools/go/analysis.
var Analyzer = &analysis.Analyzer{
	Name: "borrowstore",
	Doc: "find stores through borrowed memory, and what is kept beyond its transaction\n\n" +
		"What pmem.Borrow and pmem.BorrowBytes return points into a read-only view of the pool, " +
		"until the transaction ends: a store through it faults, and so may a use after the end. " +
		"So is a *pmem.Tx valid for one goroutine at a time, until its function returns.",
	URL:       "https://github.com/safevma/safevma/blob/main/docs/pmem/vet.md",
	Run:       run,
	FactTypes: []analysis.Fact{new(Summary)},
}

func run(pass *analysis.Pass) (any, error) {
	if !wanted(pass) {
		return nil, nil
	}
	a := &analyzed{pass: pass, summaries: map[*types.Func]*Summary{}, reported: map[finding]bool{}}
	for _, f := range functions(pass) {
		a.units = append(a.units, newUnit(a, f))
	}
	a.settle()
	for _, u := range a.units {
		u.report = true
		u.pass()
	}
	for f, s := range a.summaries {
		if f.Exported() && !s.empty() {
			pass.ExportObjectFact(f, s)
		}
	}
	return nil, nil
}

// wanted: the standard library is not looked at, since that would take long in every
// program: std.go names what of it stores.
func wanted(pass *analysis.Pass) bool {
	if pool.Own(pass.Pkg) {
		return false
	}
	first, _, _ := strings.Cut(pass.Pkg.Path(), "/")
	module := pass.Module != nil && pass.Module.Path != ""
	return module || strings.Contains(first, ".") || pool.Reaches(pass.Pkg)
}

// functions returns all declared functions, and the one that initialises variables.
func functions(pass *analysis.Pass) []*ssa.Function {
	prog := ssa.NewProgram(pass.Fset, ssa.BuilderMode(0))
	for _, p := range pass.Pkg.Imports() {
		prog.CreatePackage(p, nil, nil, true)
	}
	pkg := prog.CreatePackage(pass.Pkg, pass.Files, pass.TypesInfo, false)
	pkg.Build()
	list := []*ssa.Function{pkg.Func("init")}
	for _, file := range pass.Files {
		for _, decl := range file.Decls {
			if d, ok := decl.(*ast.FuncDecl); ok {
				if f := prog.FuncValue(pass.TypesInfo.Defs[d.Name].(*types.Func)); f != nil {
					list = append(list, f)
				}
			}
		}
	}
	return list
}

// analyzed is a package at work.
type analyzed struct {
	pass      *analysis.Pass
	units     []*unit
	summaries map[*types.Func]*Summary
	allowed   pool.Allowed
	reported  map[finding]bool
}

// settle repeats until no mark and no summary changes. Marks are only ever added, so it ends.
func (a *analyzed) settle() {
	for changed := true; changed; {
		changed = false
		for _, u := range a.units {
			for u.changed = true; u.changed; {
				u.changed = false
				u.pass()
				changed = changed || u.changed
			}
		}
	}
}

// finding tells reports apart: one a line and text.
type finding struct {
	file string
	line int
	text string
}

func (a *analyzed) say(pos token.Pos, text string) {
	if a.allowed == nil {
		a.allowed = pool.Allow(a.pass.Fset, a.pass.Files)
	}
	at := a.pass.Fset.Position(pos)
	f := finding{at.Filename, at.Line, text}
	if a.reported[f] || a.allowed.At(at) {
		return
	}
	a.reported[f] = true
	a.pass.Report(analysis.Diagnostic{Pos: pos, Message: text})
}
