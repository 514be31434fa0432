package decision

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/safevma/safevma/pmem/crash/state"
)

// recovery is a random deterministic function of an image: what it reads next depends on
// what it read before.
type recovery struct {
	seed  uint64
	calls int
	whim  int // changes what it does, for a control
}

func (f *recovery) run(image []byte) (path []Read, outcome string) {
	f.calls++
	known := map[int64]bool{}
	hash := f.seed + uint64(f.calls*f.whim)
	for i := range 6 {
		r := rand.New(rand.NewPCG(hash, uint64(i)))
		off := int64(r.IntN(len(image)/8) * 8)
		n := 8 + 8*r.IntN(3)
		if hash%5 == 0 || known[off] || off/Block != (off+int64(n)-1)/Block {
			continue
		}
		for b := off; b < off+int64(n); b++ {
			if known[b] {
				n = int(b - off)
				break
			}
			known[b] = true
			hash = hash*1099511628211 + uint64(image[b])
		}
		path = append(path, Read{off, string(image[off : off+int64(n)])})
	}
	return path, fmt.Sprint(hash)
}

func randomBox(r *rand.Rand) Box {
	b := Box{Base: make([]byte, 256), Layers: make([][]*state.Cell, 1)}
	for off := int64(0); off < 256; off += Block {
		for k := range 1 + r.IntN(3) {
			c := &state.Cell{Off: off + int64(k*16), Len: 8 + 8*r.IntN(2)}
			for v := range 1 + r.IntN(3) {
				data := make([]byte, c.Len)
				for i := range data {
					data[i] = byte(v * r.IntN(2))
				}
				data[0] = byte(v)
				c.Versions = append(c.Versions, state.Version{Data: data})
			}
			copy(b.Base[c.Off:], c.Versions[0].Data)
			b.Layers[0] = append(b.Layers[0], c)
		}
	}
	return b
}

func (b Box) image(picks []int) []byte {
	image := append([]byte(nil), b.Base...)
	for i, c := range b.Cells() {
		c.Versions[picks[i]].Put(image[c.Off:], 0, c.Len)
	}
	return image
}

// each calls for all combinations of versions.
func each(versions [][]int, fn func(picks []int)) {
	picks := make([]int, len(versions))
	var rest func(i int)
	rest = func(i int) {
		if i == len(versions) {
			fn(picks)
			return
		}
		for _, v := range versions[i] {
			picks[i] = v
			rest(i + 1)
		}
	}
	rest(0)
}

// Each image of a box is dealt with once, with the outcome that it has when it is
// recovered by itself; over several boxes with one tree, with and without a bound.
func TestWalk(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		f := &recovery{seed: seed}
		var tree Tree[string]
		images := 0
		for range 3 {
			box := randomBox(r)
			seen := map[string]bool{}
			v := Visitor[string]{MaxBytes: []int{0, 3000}[seed%2]}
			v.Run = func(picks []int) ([]Read, string, error) {
				path, outcome := f.run(box.image(picks))
				return path, outcome, nil
			}
			v.Leaf = func(outcome string, versions [][]int) error {
				each(versions, func(picks []int) {
					image := box.image(picks)
					if _, want := (&recovery{seed: seed}).run(image); outcome != want {
						t.Fatal("an image got the outcome of another")
					}
					if seen[string(image)] {
						t.Fatal("an image came twice")
					}
					seen[string(image)] = true
				})
				return nil
			}
			if err := tree.Walk(box, v).All(); err != nil {
				t.Fatal(err)
			}
			if n := int(state.Product(box.Cells()).Int64()); len(seen) != n {
				t.Fatalf("%d of %d images", len(seen), n)
			}
			images += len(seen)
		}
		if f.calls*2 > images {
			t.Errorf("seed %d: %d recoveries for %d images: nothing was saved", seed, f.calls, images)
		}
	}
}

// With overlays each image gets the outcome that it has by itself, too. Several choices may
// make the same image, so that they are visited once or more.
func TestLayers(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 3))
		f := &recovery{seed: seed}
		var tree Tree[string]
		box := randomBox(r)
		box.Layers[0] = box.Layers[0][:4]
		var over []*state.Cell
		for _, c := range randomBox(r).Layers[0][1:4] {
			for v := range c.Versions {
				c.Versions[v].Mask = make([]byte, c.Len)
				for i := range c.Versions[v].Mask {
					c.Versions[v].Mask[i] = byte(r.IntN(2))
				}
			}
			over = append(over, c)
		}
		box.Layers = append(box.Layers, over)
		want := map[string]bool{}
		all := make([][]int, len(box.Cells()))
		for i, c := range box.Cells() {
			for v := range c.Versions {
				all[i] = append(all[i], v)
			}
		}
		each(all, func(picks []int) { _, o := (&recovery{seed: seed}).run(box.image(picks)); want[o] = true })
		got := map[string]bool{}
		err := tree.Walk(box, Visitor[string]{
			Run: func(picks []int) ([]Read, string, error) {
				path, outcome := f.run(box.image(picks))
				return path, outcome, nil
			},
			Leaf: func(outcome string, _ [][]int) error { got[outcome] = true; return nil },
		}).All()
		if err != nil || !maps.Equal(got, want) {
			t.Fatalf("seed %d: %v; %d outcomes, want %d", seed, err, len(got), len(want))
		}
	}
}

// A sample counts each image at most once too.
func TestSample(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	box := randomBox(r)
	f := &recovery{seed: 3}
	var tree Tree[string]
	seen := map[string]bool{}
	w := tree.Walk(box, Visitor[string]{
		Run: func(picks []int) ([]Read, string, error) {
			path, outcome := f.run(box.image(picks))
			return path, outcome, nil
		},
		Leaf: func(_ string, versions [][]int) error {
			each(versions, func(picks []int) {
				if seen[string(box.image(picks))] {
					t.Fatal("an image came twice")
				}
				seen[string(box.image(picks))] = true
			})
			return nil
		},
	})
	for range 50 {
		picks := box.Random(r)
		if ok, err := w.One(picks); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if !seen[string(box.image(picks))] {
			t.Fatal("the image asked for was not visited")
		}
	}
	if len(seen) < 50 || f.calls > 50 {
		t.Errorf("%d images by %d recoveries", len(seen), f.calls)
	}
}

// The control: a recovery that does something else each time is found out.
func TestNotDeterministic(t *testing.T) {
	found := 0
	for seed := range uint64(20) {
		box := randomBox(rand.New(rand.NewPCG(seed, 2)))
		f := &recovery{seed: seed, whim: 1}
		var tree Tree[string]
		err := tree.Walk(box, Visitor[string]{
			Run: func(picks []int) ([]Read, string, error) {
				path, outcome := f.run(box.image(picks))
				return path, outcome, nil
			},
			Leaf: func(string, [][]int) error { return nil },
		}).All()
		if errors.Is(err, ErrPath) {
			found++
		}
	}
	if found < 10 { // the rest read nothing, or end at their first recovery
		t.Errorf("found %d of 20", found)
	}
}

// Versions that write what is below them are no choice.
func TestRewrites(t *testing.T) {
	const cells = 16
	box := Box{Base: make([]byte, cells*8), Layers: make([][]*state.Cell, 2)}
	for i := range box.Base {
		box.Base[i] = byte(i)
	}
	for off := int64(0); off < cells*8; off += 8 {
		again := state.Version{Data: box.Base[off : off+8], Mask: []byte{1, 1, 1, 1, 1, 1, 1, 1}}
		none := state.Version{Data: make([]byte, 8), Mask: make([]byte, 8)}
		box.Layers[1] = append(box.Layers[1], &state.Cell{Off: off, Len: 8, Versions: []state.Version{none, again}})
	}
	var tree Tree[int]
	runs, images := 0, 0
	err := tree.Walk(box, Visitor[int]{
		Run: func([]int) ([]Read, int, error) {
			runs++
			return []Read{{0, string(box.Base[:64])}, {64, string(box.Base[64:])}}, 0, nil
		},
		Leaf: func(_ int, versions [][]int) error {
			images = 1
			for _, v := range versions {
				images *= len(v)
			}
			return nil
		},
	}).All()
	if err != nil || runs != 1 || images != 1<<cells {
		t.Errorf("%d of %d images dealt with by %d recoveries, %v", images, 1<<cells, runs, err)
	}
}
