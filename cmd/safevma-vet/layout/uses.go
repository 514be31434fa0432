package layout

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"

	"github.com/safevma/safevma/cmd/safevma-vet/pool"
)

// use is a type that is kept in pools, and where that is seen first.
type use struct {
	typ  types.Type
	pos  token.Pos
	test bool // seen in test files alone
}

// kept are the generic functions and types of pmem whose type argument lives in a pool.
var kept = []string{"Get", "Set", "Alloc", "AllocImmutable", "Borrow", "Free", "Root", "SetRoot", "Register", "Ref"}

// usesAnalyzer runs on dependencies, too: a generic function there may keep its type
// argument in a pool. The lock is only checked for packages that are named.
var usesAnalyzer = &analysis.Analyzer{
	Name:       "layoutuses",
	Doc:        "find the types that are kept in pools",
	Run:        findUses,
	ResultType: reflect.TypeFor[[]use](),
	FactTypes:  []analysis.Fact{new(Wants)},
}

// Wants says which type parameters of a generic function or type are kept in pools.
type Wants struct{ Params []int }

// AFact makes Wants a fact, so that it reaches packages that instantiate.
func (*Wants) AFact() {}

func (w *Wants) String() string { return fmt.Sprintf("keeps types %v", w.Params) }

// owner is whose type parameter one is.
type owner struct {
	object types.Object
	index  int
}

type finder struct {
	pass   *analysis.Pass
	owners map[*types.TypeParam]owner
	wants  map[types.Object]*Wants
}

func findUses(pass *analysis.Pass) (any, error) {
	if pool.Own(pass.Pkg) || !pool.Reaches(pass.Pkg) {
		return []use(nil), nil
	}
	f := finder{pass, map[*types.TypeParam]owner{}, map[types.Object]*Wants{}}
	for _, obj := range pass.TypesInfo.Defs {
		f.own(obj)
	}
	for f.propagate() {
	}
	for obj, w := range f.wants {
		if obj.Exported() {
			pass.ExportObjectFact(obj, w)
		}
	}
	return f.uses(), nil
}

func (f *finder) own(obj types.Object) {
	switch obj := obj.(type) {
	case *types.Func:
		f.list(obj, obj.Signature().TypeParams())
		if recv := obj.Signature().Recv(); recv != nil {
			f.list(receiver(recv.Type()), obj.Signature().RecvTypeParams())
		}
	case *types.TypeName:
		if named, ok := obj.Type().(*types.Named); ok && !obj.IsAlias() {
			f.list(obj, named.TypeParams())
		}
	}
}

func receiver(t types.Type) types.Object {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		t = p.Elem()
	}
	if named, ok := types.Unalias(t).(*types.Named); ok {
		return named.Origin().Obj()
	}
	return nil
}

func (f *finder) list(obj types.Object, params *types.TypeParamList) {
	for i := range params.Len() {
		f.owners[params.At(i)] = owner{obj, i}
	}
}

// propagate: a type parameter that a kept type is made of is kept, too.
func (f *finder) propagate() (changed bool) {
	f.instances(func(_ *ast.Ident, t types.Type) {
		walk(t, func(p *types.TypeParam) {
			o, ok := f.owners[p]
			if !ok || o.object == nil {
				return
			}
			if f.wants[o.object] == nil {
				f.wants[o.object] = &Wants{}
			}
			if w := f.wants[o.object]; !slices.Contains(w.Params, o.index) {
				w.Params = append(w.Params, o.index)
				changed = true
			}
		})
	})
	return changed
}

// instances visits each type argument that is kept in pools.
func (f *finder) instances(visit func(*ast.Ident, types.Type)) {
	for ident, instance := range f.pass.TypesInfo.Instances {
		for _, i := range f.wanted(f.pass.TypesInfo.Uses[ident]) {
			if i < instance.TypeArgs.Len() && !pool.Type(instance.TypeArgs.At(i), "Bytes") {
				visit(ident, instance.TypeArgs.At(i))
			}
		}
	}
}

func (f *finder) wanted(obj types.Object) []int {
	switch {
	case obj == nil || obj.Pkg() == nil:
		return nil
	case pool.Is(obj, kept...):
		return []int{0}
	case f.wants[obj] != nil:
		return f.wants[obj].Params
	}
	w := new(Wants)
	if obj.Pkg() != f.pass.Pkg {
		f.pass.ImportObjectFact(obj, w)
	}
	return w.Params
}

// uses returns each type once, in the order of its first use, which is one outside of
// tests if there is any.
func (f *finder) uses() []use {
	var all []use
	f.instances(func(ident *ast.Ident, t types.Type) {
		name := f.pass.Fset.Position(ident.Pos()).Filename
		all = append(all, use{t, ident.Pos(), strings.HasSuffix(name, "_test.go")})
	})
	slices.SortFunc(all, func(a, b use) int {
		if a.test != b.test {
			return cmp.Compare(order(a), order(b))
		}
		return cmp.Compare(a.pos, b.pos)
	})
	var list []use
	for _, u := range all {
		if !slices.ContainsFunc(list, func(v use) bool { return types.Identical(u.typ, v.typ) }) {
			list = append(list, u)
		}
	}
	return list
}

func order(u use) int {
	if u.test {
		return 1
	}
	return 0
}

// walk visits the type parameters that values of type t are made of. In a reference, which
// is one word, there are none.
func walk(t types.Type, visit func(*types.TypeParam)) {
	switch t := types.Unalias(t).(type) {
	case *types.TypeParam:
		visit(t)
	case *types.Array:
		walk(t.Elem(), visit)
	case *types.Struct:
		for f := range t.Fields() {
			walk(f.Type(), visit)
		}
	case *types.Named:
		walk(t.Underlying(), visit)
	}
}

// open reports whether t depends on a type parameter.
func open(t types.Type) bool {
	found := false
	walk(t, func(*types.TypeParam) { found = true })
	return found
}
