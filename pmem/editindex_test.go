package pmem

import (
	"math/rand/v2"
	"testing"
)

// TestEditIndex holds the index against looking through all edits, while they become many, and when
// another transaction uses it again.
func TestEditIndex(t *testing.T) {
	var x editIndex
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{3, indexFrom, indexFrom + 1, 500, 20, 5000} {
		x.used = false
		var edits []edit
		known := map[int64]int{}
		for range n {
			off := 64 * r.Int64N(1<<20)
			if _, twice := known[off]; twice {
				continue
			}
			known[off] = len(edits)
			edits = append(edits, edit{off: off})
			x.add(edits)
		}
		if len(edits) > indexFrom != x.used {
			t.Fatalf("%d edits, and the index is used: %v", len(edits), x.used)
		}
		if !x.used {
			continue
		}
		for range n {
			off := 64 * r.Int64N(1<<20)
			want, ok := known[off]
			if !ok {
				want = -1
			}
			if got := x.find(edits, off); got != want {
				t.Fatalf("of %d edits, that of offset %d is %d, and not %d", len(edits), off, got, want)
			}
		}
		for off, want := range known {
			if got := x.find(edits, off); got != want {
				t.Fatalf("of %d edits, that of offset %d is %d, and not %d", len(edits), off, got, want)
			}
		}
	}
}
