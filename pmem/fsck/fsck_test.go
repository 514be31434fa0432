package fsck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/medium"
)

var ctx = context.Background()

type node struct {
	Value uint64
	Next  pmem.Ref[node]
	Text  pmem.Ref[pmem.Bytes]
}

type pair struct {
	Name [5]byte
	Ends [2]pmem.Ref[node]
}

type table struct {
	Count uint32
	Rows  [3][4]pair
	Self  pmem.Ref[table]
}

const poolSize = 4 << 20

var small = pmem.Options{LogSize: 16384, SpanSize: 4096}

// newPool makes a pool in memory, which the test may spoil.
func newPool(t testing.TB, size int64, o pmem.Options) (*pmem.Pool, *medium.Medium) {
	t.Helper()
	m, err := medium.NewVolatile(size, size)
	if err != nil {
		t.Fatal(err)
	}
	p, err := pmem.CreateOn(m, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p, m
}

func update(t testing.TB, p *pmem.Pool, fn func(tx *pmem.Tx) error) {
	t.Helper()
	if err := p.Update(ctx, fn); err != nil {
		t.Fatal(err)
	}
}

func mustBeClean(t testing.TB, m *medium.Medium) *Report {
	t.Helper()
	r, err := Check(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Problems {
		t.Errorf("%v", p)
	}
	if !r.Complete || r.Unjudged > 0 {
		t.Errorf("complete %v, unjudged %d", r.Complete, r.Unjudged)
	}
	return r
}

// sizes are those of the bytes that a pool of small spans is filled with.
var sizes = []int{0, 1, 8, 40, 100, 256, 257, 500, 511, 512, 513, 900, 1000, 1024, 1025, 3000, 5000, 20000}

// fill puts objects of all kinds into a pool, and frees some.
func fill(t testing.TB, p *pmem.Pool) {
	t.Helper()
	var top pmem.Ref[table]
	update(t, p, func(tx *pmem.Tx) (err error) {
		top, err = pmem.Alloc(tx, table{})
		return errors.Join(err, pmem.SetRoot(tx, "top", top))
	})
	for i, n := range append(sizes, sizes...) {
		update(t, p, func(tx *pmem.Tx) error {
			text, err := pmem.AllocBytes(tx, bytes.Repeat([]byte{byte(i)}, n))
			if err != nil {
				return err
			}
			v, err := pmem.Get(tx, top)
			if err != nil {
				return err
			}
			place := &v.Rows[i%3][i/3%4].Ends[i/12%2]
			if *place, err = pmem.Alloc(tx, node{uint64(i), *place, text}); err != nil {
				return err
			}
			v.Count, v.Self = uint32(i), top
			return pmem.Set(tx, top, v)
		})
	}
	var gone []pmem.Ref[pmem.Bytes]
	for _, n := range append(sizes, sizes...) {
		update(t, p, func(tx *pmem.Tx) error {
			r, err := pmem.AllocBytes(tx, make([]byte, n))
			gone = append(gone, r)
			return err
		})
	}
	for _, r := range gone {
		update(t, p, func(tx *pmem.Tx) error { return pmem.Free(tx, r) })
	}
}

func TestCleanPools(t *testing.T) {
	for _, o := range []pmem.Options{{}, small, {LogSize: 1 << 16, SpanSize: 16384}} {
		t.Run(fmt.Sprint(o.SpanSize), func(t *testing.T) {
			p, m := newPool(t, poolSize, o)
			mustBeClean(t, m)
			fill(t, p)
			r := mustBeClean(t, m)
			if want := int64(2*2*len(sizes) + 3); r.Counts.Objects != want { // a root, and two descriptors

				t.Errorf("%d objects, want %d", r.Counts.Objects, want)
			}
			if err := p.Checkpoint(ctx); err != nil {
				t.Fatal(err)
			}
			mustBeClean(t, m)
			if err := Pool(p); err != nil {
				t.Error(err)
			}
		})
	}
}
