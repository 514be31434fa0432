package inspect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/medium"
)

var ctx = context.Background()

type point struct{ X, Y int16 }

type every struct {
	Yes      bool
	Tiny     int8
	Short    uint16
	Word     uint32
	Long     int64
	Most     uint64
	Half     float32
	Whole    float64
	NaN      float64
	Two      complex64
	Name     [12]byte
	Binary   [3]byte
	Points   [2][2]point
	Nothing  [0]point
	None     struct{}
	Children [2]pmem.Ref[every]
	Text     pmem.Ref[pmem.Bytes]
}

type count uint32

// newPool makes a pool with an object of every sort.
func newPool(t testing.TB) (*pmem.Pool, *medium.Medium) {
	t.Helper()
	m, err := medium.NewVolatile(1<<20, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	p, err := pmem.CreateOn(m, pmem.Options{SpanSize: 4096})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	err = p.Update(ctx, func(tx *pmem.Tx) error {
		text, err1 := pmem.AllocBytes(tx, []byte("hello\x00\x00"))
		deep, err0 := pmem.AllocBytes(tx, []byte("deep"))
		child, err2 := pmem.Alloc(tx, every{Tiny: 2, Text: deep})
		v := every{Yes: true, Tiny: -1, Short: 65535, Word: 7, Long: -5, Most: 1<<64 - 1, Half: 1.5, Whole: math.Inf(-1), NaN: math.NaN(), Two: 1 - 2i}
		copy(v.Name[:], "bob")
		v.Binary, v.Points, v.Text = [3]byte{1, 2, 255}, [2][2]point{{{1, 2}, {3, 4}}, {{5, 6}, {-7, 8}}}, text
		v.Children[1] = child
		top, err3 := pmem.Alloc(tx, v)
		c, err4 := pmem.Get(tx, child)
		c.Children[0] = top // round and round
		five, err5 := pmem.Alloc(tx, count(5))
		return errors.Join(err0, err1, err2, err3, err4, err5, pmem.Set(tx, child, c), pmem.SetRoot(tx, "top", top), pmem.SetRoot(tx, "number", five),
			pmem.SetRoot(tx, "none", pmem.Ref[pmem.Bytes]{}))
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, m
}

func open(t testing.TB, m *medium.Medium) *Pool {
	t.Helper()
	p, err := New(m)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func treeText(t testing.TB, tree *Tree) string {
	t.Helper()
	var b bytes.Buffer
	if err := tree.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Values of every kind, as text and as JSON.
func TestValues(t *testing.T) {
	_, m := newPool(t)
	tree, err := open(t, m).Tree(Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Objects) != 5 || tree.Damaged() || tree.More+tree.Deeper > 0 {
		t.Fatalf("%s", treeText(t, tree))
	}
	top := tree.Objects[0]
	ref := tree.Objects[1].Ref
	bytesRef := tree.Objects[3].Ref
	want := `{Yes: true, Tiny: -1, Short: 65535, Word: 7, Long: -5, Most: 18446744073709551615, Half: 1.5, Whole: -Inf, NaN: NaN, Two: [1, -2], ` +
		`Name: "bob", Binary: 0x0102ff, Points: [[{X: 1, Y: 2}, {X: 3, Y: 4}], [{X: 5, Y: 6}, {X: -7, Y: 8}]], Nothing: [], None: {}, ` +
		`Children: [nil, ` + ref + `], Text: ` + bytesRef + `}`
	if top.text != want {
		t.Errorf("%s\nwant %s", top.text, want)
	}
	want = `{"Yes":true,"Tiny":-1,"Short":65535,"Word":7,"Long":-5,"Most":18446744073709551615,"Half":1.5,"Whole":"-Inf","NaN":"NaN","Two":[1,-2],` +
		`"Name":"626f62000000000000000000","Binary":"0102ff","Points":[[{"X":1,"Y":2},{"X":3,"Y":4}],[{"X":5,"Y":6},{"X":-7,"Y":8}]],"Nothing":[],"None":{},` +
		`"Children":[null,"` + ref + `"],"Text":"` + bytesRef + `"}`
	if string(top.Value) != want || !json.Valid(top.Value) {
		t.Errorf("%s\nwant %s", top.Value, want)
	}
	if got := tree.Objects[3]; got.text != `"hello"` || string(got.Value) != `"68656c6c6f0000"` || got.Via != "Text" || got.Depth != 1 {
		t.Errorf("%+v", got)
	}
	if got := tree.Objects[4]; got.text != "5" || string(got.Value) != "5" || got.Via != `root "number"` {
		t.Errorf("%+v", got)
	}
	if got := tree.Objects[1]; got.Via != "Children[] #1" {
		t.Errorf("%+v", got)
	}
}

func TestLimits(t *testing.T) {
	_, m := newPool(t)
	for _, c := range []struct {
		l             Limits
		objects       int
		deeper, more_ int64
	}{{Limits{}, 5, 0, 0}, {Limits{Depth: 1}, 4, 1, 0}, {Limits{Objects: 1}, 1, 0, 3}, {Limits{Objects: 2, Elements: 1}, 2, 0, 3}} {
		tree, err := open(t, m).Tree(c.l)
		if err != nil {
			t.Fatal(err)
		}
		if len(tree.Objects) != c.objects || tree.Deeper != c.deeper || tree.More != c.more_ {
			t.Errorf("%+v: %d objects, %d deeper, %d more", c.l, len(tree.Objects), tree.Deeper, tree.More)
		}
		if c.l.Elements == 1 && !strings.Contains(treeText(t, tree), "… 1 more]") {
			t.Errorf("%s", treeText(t, tree))
		}
	}
}

// An object in full, and what is none.
func TestObject(t *testing.T) {
	_, m := newPool(t)
	p := open(t, m)
	tree, err := p.Tree(Limits{})
	if err != nil {
		t.Fatal(err)
	}
	o, err := p.Object(tree.Objects[3].address.Off)
	if err != nil || o.Ref != tree.Objects[3].Ref || o.TypeName != "bytes" {
		t.Errorf("%+v, %v", o, err)
	}
	for _, off := range []int64{-8, 0, 1, o.address.Off + 8, 1 << 19, 1 << 50} {
		if o, err := p.Object(off); !errors.Is(err, pmem.ErrReference) && !errors.Is(err, pmem.ErrStale) {
			t.Errorf("offset %d: %+v, %v", off, o, err)
		}
	}
}

func dump(t testing.TB, m *medium.Medium, asJSON bool) (string, End) {
	t.Helper()
	var b bytes.Buffer
	end, err := open(t, m).Dump(ctx, &b, asJSON)
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), end
}

// A dump is whole and the same each time.
func TestDump(t *testing.T) {
	_, m := newPool(t)
	for _, asJSON := range []bool{false, true} {
		first, end := dump(t, m, asJSON)
		if again, _ := dump(t, m, asJSON); again != first {
			t.Error("two dumps differ")
		}
		if end != (End{Objects: 7, Damages: 0}) { // two of them are descriptors
			t.Errorf("%+v:\n%s", end, first)
		}
	}
	all, _ := dump(t, m, true)
	kinds := ""
	for line := range strings.Lines(all) {
		var v struct{ Kind, Schema, Name, Ref string }
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		kinds += v.Kind + " "
		if v.Kind == "object" && v.Ref == "" || v.Kind == "type" && !strings.HasPrefix(v.Name, "github.com/safevma/safevma/pmem/inspect.") {
			t.Errorf("%s", line)
		}
	}
	if want := "pool type type root root root object object object object object object object end "; kinds != want {
		t.Errorf("%q, want %q", kinds, want)
	}
}

// What is damaged is shown as that, and the rest all the same.
func TestDamage(t *testing.T) {
	p, m := newPool(t)
	if err := p.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	tree, err := open(t, m).Tree(Limits{})
	if err != nil {
		t.Fatal(err)
	}
	off := tree.Objects[3].address.Off
	if err := m.Write(off+24, []byte("HELLO\x1b[0"), medium.Unclassed); err != nil {
		t.Fatal(err)
	}
	tree, err = open(t, m).Tree(Limits{})
	if err != nil || !tree.Damaged() || len(tree.Objects[3].BadBlocks) != 1 {
		t.Errorf("%v, %s", err, treeText(t, tree))
	}
	if s := treeText(t, tree); !strings.Contains(s, "DAMAGED in blocks [0]") || strings.Contains(s, "\x1b") {
		t.Errorf("%q", s)
	}
	if err := m.Write(off, make([]byte, 24), medium.Unclassed); err != nil {
		t.Fatal(err)
	}
	tree, err = open(t, m).Tree(Limits{})
	if err != nil || tree.Objects[3].Error == "" || len(tree.Objects) != 5 {
		t.Errorf("%v, %s", err, treeText(t, tree))
	}
	all, end := dump(t, m, true)
	if end.Damages != 1 || end.Objects != 6 || !strings.Contains(all, `{"kind":"damage","offset":`) {
		t.Errorf("%+v: %s", end, all)
	}
}

// A pool that is in use is refused, with what to do.
func TestInUse(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pool")
	p, err := pmem.Create(name, 1<<20, pmem.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(name); !errors.Is(err, ErrInUse) {
		t.Errorf("%v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	one, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	two, err := Open(name)
	if err != nil {
		t.Fatal("two that only look:", err)
	}
	defer two.Close()
	if i := one.Info(); i.Version != 1 || i.Size != 1<<20 || i.Recovery.Records != 0 || i.Medium.Kind == "" {
		t.Errorf("%+v", i)
	}
}

// FuzzShape: whatever a descriptor says, and whatever the bytes are, showing them ends, and the JSON
// is JSON.
func FuzzShape(f *testing.F) {
	f.Add([]byte("type \"T\" 16\nfield \"\" struct 0 16 0 \"\"\nfield \"A\" array 0 16 2 \"\"\nfield \"A[]\" int64 0 8 0 \"\"\n"), []byte("0123456789abcdef"))
	f.Add([]byte("type \"T\" 8\nfield \"\" array 0 0 4000000000 \"\"\nfield \"[]\" struct 0 0 0 \"\"\nfield \"[].\\x1b\" bool 0 1 0 \"\"\n"), []byte("01234567"))
	f.Add([]byte("type \"T\" 8\nfield \"\" float64 0 8 0 \"\"\n"), []byte("\xff\xff\xff\xff\xff\xff\xff\x7f"))
	f.Fuzz(func(t *testing.T, text, content []byte) {
		info, err := pmem.ParseType(text)
		if err != nil {
			return
		}
		s, err := newShape(info)
		if err != nil {
			return
		}
		if b := s.value(nil, content, true, 0); !json.Valid(b) {
			t.Errorf("%s", b)
		}
		if b := s.value(nil, content, false, 4); bytes.ContainsRune(b, '\x1b') {
			t.Errorf("%q", b)
		}
	})
}
