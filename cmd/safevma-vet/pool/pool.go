// Package pool knows package pmem's names: what of it a typed program uses.
package pool

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"
)

// Path is the import path of package pmem.
const Path = "github.com/safevma/safevma/pmem"

// Own reports whether a package is pmem or its tests, which may do what users may not.
func Own(pkg *types.Package) bool { return strings.TrimSuffix(pkg.Path(), "_test") == Path }

// Is reports whether an object is a package-level one of pmem with one of these names.
func Is(obj types.Object, names ...string) bool {
	if obj == nil || obj.Pkg() == nil || obj.Pkg().Path() != Path || obj.Parent() != obj.Pkg().Scope() {
		return false
	}
	for _, name := range names {
		if obj.Name() == name {
			return true
		}
	}
	return false
}

// Type reports whether t is the named type of pmem, generic or not.
func Type(t types.Type, name string) bool {
	n, ok := types.Unalias(t).(*types.Named)
	return ok && Is(n.Origin().Obj(), name)
}

// IsTx reports whether t is *pmem.Tx.
func IsTx(t types.Type) bool {
	p, ok := types.Unalias(t).(*types.Pointer)
	return ok && Type(p.Elem(), "Tx")
}

// Reaches reports whether a package imports pmem, itself or through others.
func Reaches(pkg *types.Package) bool { return reaches(pkg, map[*types.Package]bool{}) }

func reaches(pkg *types.Package, seen map[*types.Package]bool) bool {
	if pkg.Path() == Path {
		return true
	}
	if seen[pkg] {
		return false
	}
	seen[pkg] = true
	for _, imported := range pkg.Imports() {
		if reaches(imported, seen) {
			return true
		}
	}
	return false
}

// Directive is the comment that allows what stands on its line or on the next one. A
// reason follows it; without one gofmt takes the space away, and it is none.
const Directive = "//safevma:allow "

// Allowed holds the lines on which findings are wanted, by file.
type Allowed map[string]map[int]bool

// Allow reads the directives of files.
func Allow(set *token.FileSet, files []*ast.File) Allowed {
	allowed := Allowed{}
	for _, file := range files {
		for _, group := range file.Comments {
			for _, c := range group.List {
				if strings.HasPrefix(c.Text, Directive) {
					allowed.add(set.Position(c.Pos()))
				}
			}
		}
	}
	return allowed
}

func (a Allowed) add(at token.Position) {
	if a[at.Filename] == nil {
		a[at.Filename] = map[int]bool{}
	}
	a[at.Filename][at.Line], a[at.Filename][at.Line+1] = true, true
}

// At reports whether findings at a position are allowed.
func (a Allowed) At(at token.Position) bool { return a[at.Filename][at.Line] }
