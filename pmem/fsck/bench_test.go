package fsck

import (
	"errors"
	"testing"

	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/medium"
)

// BenchmarkCheckSmall is the check of a pool as the explorer of crash states makes them.
func BenchmarkCheckSmall(b *testing.B) {
	m := mediumOf(b, image(b), &deaf{})
	b.ReportAllocs()
	for b.Loop() {
		if r, err := Check(ctx, m); err != nil || !r.Clean() {
			b.Fatal(err, r)
		}
	}
}

// BenchmarkCheckBig is that of a pool of 64 MiB, full of small objects in a list.
func BenchmarkCheckBig(b *testing.B) {
	m := full(b, 64<<20)
	b.SetBytes(64 << 20)
	b.ReportAllocs()
	for b.Loop() {
		if r, err := Check(ctx, m); err != nil || !r.Clean() {
			b.Fatal(err, r)
		}
	}
}

func full(b *testing.B, size int64) *medium.Medium {
	p, m := newPool(b, size, pmem.Options{})
	var last pmem.Ref[node]
	for {
		err := p.Update(ctx, func(tx *pmem.Tx) error {
			head := last
			for range 100 {
				r, err := pmem.Alloc(tx, node{Next: head})
				if err != nil {
					return err
				}
				head = r
			}
			last = head
			return pmem.SetRoot(tx, "list", head)
		})
		if errors.Is(err, pmem.ErrFull) {
			return m
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
