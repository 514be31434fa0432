package inspect

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/pmem"
)

// TreeSchema is the name of the JSON form of a [Tree]. Within one version fields may be added.
const TreeSchema = "safevma.pool-inspect/v1"

// Root is a name that refers to an object.
type Root struct {
	Name     string `json:"name"`
	Ref      string `json:"ref"` // "nil" where it refers to nothing
	Type     uint32 `json:"type"`
	TypeName string `json:"type_name"`
	Error    string `json:"error,omitempty"`
}

// Tree is a pool from its roots on.
type Tree struct {
	Schema  string   `json:"schema"`
	Types   []Type   `json:"types"`
	Roots   []Root   `json:"roots"`
	Objects []Object `json:"objects"` // each one once, below what it was found by
	Deeper  int64    `json:"deeper"`  // references that the depth left out
	More    int64    `json:"more"`    // and those that the limit left out
}

// Limits bound what is shown.
type Limits struct {
	Depth    int // references away from a root; 0 is no bound
	Objects  int // 0 is no bound
	Elements int // of an array, and bytes, that text shows; 0 is no bound
}

// step is an object that is to be shown.
type step struct {
	ref   pmem.Address
	want  uint32
	via   string
	depth int
}

type walker struct {
	p    *Pool
	l    Limits
	tree *Tree
	todo []step
	seen map[pmem.Address]bool
}

// Tree walks from the roots along the references, first into the depth. An object that several
// refer to is where it was found first. The memory it takes is that of what is shown.
func (p *Pool) Tree(l Limits) (*Tree, error) {
	t := &Tree{Schema: TreeSchema, Types: p.types, Roots: []Root{}, Objects: []Object{}}
	if t.Types == nil {
		t.Types = []Type{}
	}
	roots, err := p.r.Roots()
	if err != nil {
		return nil, err
	}
	w := &walker{p: p, l: l, tree: t, seen: map[pmem.Address]bool{}}
	for _, r := range roots {
		root := Root{Name: guarantee.Text(r.Name), Ref: r.Ref.String(), Type: r.Type, TypeName: p.nameOf(r.Type)}
		if r.Err != nil {
			root.Error = r.Err.Error()
		}
		t.Roots = append(t.Roots, root)
		if r.Err == nil && !r.Ref.IsNil() {
			w.todo = append(w.todo[:0], step{r.Ref, r.Type, fmt.Sprintf("root %q", r.Name), 0})
			w.walk()
		}
	}
	return t, nil
}

func (w *walker) walk() {
	for len(w.todo) > 0 {
		s := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		switch {
		case w.seen[s.ref]:
		case w.l.Depth > 0 && s.depth > w.l.Depth:
			w.tree.Deeper++
		case w.l.Objects > 0 && len(w.tree.Objects) >= w.l.Objects:
			w.tree.More++
		default:
			w.seen[s.ref] = true
			w.show(s)
		}
	}
}

// show adds an object, and what it refers to to what is to be shown next.
func (w *walker) show(s step) {
	o, err := w.p.r.Find(s.ref)
	if err != nil {
		w.tree.Objects = append(w.tree.Objects, Object{Ref: s.ref.String(), Type: s.want, TypeName: w.p.nameOf(s.want), Error: err.Error(), Via: s.via, Depth: s.depth})
		return
	}
	shown, content, bad := w.p.read(o, w.l.Elements)
	shown.Via, shown.Depth = s.via, s.depth
	w.tree.Objects = append(w.tree.Objects, shown)
	t := w.p.byID[o.Type]
	if t == nil || t.Size != o.Size {
		return
	}
	from := len(w.todo)
	for _, f := range t.refs {
		n := 0
		f.Each(content, func(at int64, a pmem.Address) {
			n++
			if !a.IsNil() && !w.seen[a] && !slices.Contains(bad, at/pmem.BlockSize) {
				w.todo = append(w.todo, step{a, 0, numbered(f.Path, n-1), s.depth + 1})
			}
		})
	}
	slices.Reverse(w.todo[from:])
}

// numbered names an element: of several arrays in each other they are counted through.
func numbered(path string, i int) string {
	if strings.Contains(path, "[]") {
		return fmt.Sprintf("%s #%d", path, i)
	}
	return path
}

// WriteText shows the tree to people.
func (t *Tree) WriteText(w io.Writer) error {
	p := &lines{w: w}
	for i := range t.Types {
		p.showType(&t.Types[i])
	}
	for i := range t.Roots {
		p.root(&t.Roots[i])
	}
	for i := range t.Objects {
		p.object(&t.Objects[i])
	}
	if t.Deeper > 0 {
		p.line("%d references lead deeper: see --depth", t.Deeper)
	}
	if t.More > 0 {
		p.line("%d references lead to more objects: see --limit", t.More)
	}
	return p.err
}

// lines writes lines, and keeps the first error.
type lines struct {
	w   io.Writer
	err error
}

func (p *lines) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func failed(err string) string {
	if err == "" {
		return ""
	}
	return ": " + guarantee.Text(err)
}

func (p *lines) showType(t *Type) {
	p.line("type %d: %s, %d bytes%s", t.ID, guarantee.Text(t.Name), t.Size, failed(t.Error))
	for _, f := range t.Fields {
		if f.Path == "" {
			continue
		}
		kind := f.Kind
		switch kind {
		case "array":
			kind = fmt.Sprintf("array of %d", f.Count)
		case "ref":
			kind = "reference to " + f.Type
		}
		p.line("    %s: %s, at %d", guarantee.Text(f.Path), guarantee.Text(kind), f.Off)
	}
}

func (p *lines) root(r *Root) {
	p.line("root \"%s\": %s, %s%s", r.Name, r.Ref, guarantee.Text(r.TypeName), failed(r.Error))
}

// mostIndent keeps what is deep in sight.
const mostIndent = 16

func (p *lines) object(o *Object) {
	indent := strings.Repeat("  ", min(o.Depth, mostIndent))
	deep := ""
	if o.Depth > mostIndent {
		deep = fmt.Sprintf("(%d deep) ", o.Depth)
	}
	damage := ""
	if len(o.BadBlocks) > 0 {
		damage = fmt.Sprintf(" DAMAGED in blocks %v", o.BadBlocks)
	}
	p.line("%s%s%s: %s %s, %d bytes%s%s %s", indent, deep, guarantee.Text(o.Via), o.Ref, guarantee.Text(o.TypeName), o.Size, damage, failed(o.Error), o.text)
}

// Object shows the object that begins at an offset, of whatever incarnation, whole.
func (p *Pool) Object(off int64) (*Object, error) {
	o, err := p.r.At(off)
	if err != nil && !errors.Is(err, pmem.ErrDamage) {
		return nil, err
	}
	shown, _, _ := p.read(o, 0)
	return &shown, nil
}

// Damaged reports whether something of the object is not what was written.
func (o *Object) Damaged() bool { return o.Error != "" || len(o.BadBlocks) > 0 }

// Damaged reports whether something that was shown is not what was written.
func (t *Tree) Damaged() bool {
	return slices.ContainsFunc(t.Objects, func(o Object) bool { return o.Damaged() }) ||
		slices.ContainsFunc(t.Types, func(t Type) bool { return t.Error != "" }) ||
		slices.ContainsFunc(t.Roots, func(r Root) bool { return r.Error != "" })
}

// WriteText shows the object to people.
func (o *Object) WriteText(w io.Writer) error {
	p := &lines{w: w}
	p.line("object %s: %s, %d bytes, label %d, immutable: %v%s", o.Ref, guarantee.Text(o.TypeName), o.Size, o.Label, o.Immutable, failed(o.Error))
	if len(o.BadBlocks) > 0 {
		p.line("DAMAGED in blocks %v, of 256 bytes each", o.BadBlocks)
	}
	p.line("%s", o.text)
	return p.err
}
