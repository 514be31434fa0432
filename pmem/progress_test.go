package pmem

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

func increment(p *Pool, r Ref[node]) error {
	return p.Update(ctx, func(tx *Tx) error {
		n, err := Get(tx, r)
		if err != nil {
			return err
		}
		n.Value++
		return Set(tx, r, n)
	})
}

// Under full conflict all goroutines finish, and nothing is lost.
func TestFullConflict(t *testing.T) {
	const goroutines, each = 16, 200
	p := newTestPool(t, 1<<20, Options{})
	var r Ref[node]
	update(t, p, func(tx *Tx) (err error) { r, err = Alloc(tx, node{}); return err })
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for range each {
				if err := increment(p, r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	view(t, p, func(tx *Tx) error {
		n, err := Get(tx, r)
		if n.Value != goroutines*each {
			t.Errorf("%d increments are %d", goroutines*each, n.Value)
		}
		return err
	})
}

// A long transaction goes on beside short ones that change what it reads all the time: after some
// conflicts it runs alone. Each of the others may be on its way past the gate then, once.
func TestLongTransactionFinishes(t *testing.T) {
	const goroutines = 3
	p := newTestPool(t, 1<<20, Options{})
	var refs [64]Ref[node]
	update(t, p, func(tx *Tx) (err error) {
		for i := range refs {
			if refs[i], err = Alloc(tx, node{}); err != nil {
				return err
			}
		}
		return nil
	})
	var stop atomic.Bool
	var all sync.WaitGroup
	for i := range goroutines {
		all.Go(func() {
			for n := i; !stop.Load(); n++ {
				if err := increment(p, refs[n%len(refs)]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	runs, most := 0, 0
	long := func(tx *Tx) (err error) {
		runs++
		sum := uint64(0)
		for _, r := range refs {
			n, err := Get(tx, r)
			if err != nil {
				return err
			}
			sum += n.Value
			runtime.Gosched()
		}
		if tx.write {
			return Set(tx, refs[0], node{Value: sum})
		}
		return nil
	}
	for i := range 20 {
		runs = 0
		if i%2 == 0 {
			update(t, p, long)
		} else {
			view(t, p, long)
		}
		most = max(most, runs)
	}
	stop.Store(true)
	all.Wait()
	if most > attempts+1+goroutines {
		t.Errorf("it was run %d times", most)
	}
	t.Logf("run up to %d times", most)
}

// BenchmarkConflict is goroutines that increment one counter, and ones that have one each.
func BenchmarkConflict(b *testing.B) {
	for _, goroutines := range []int{1, 2, 8} {
		for _, kind := range []string{"one", "own"} {
			b.Run(fmt.Sprintf("%d goroutines, %s counter", goroutines, kind), func(b *testing.B) {
				benchmarkConflict(b, goroutines, kind == "own")
			})
		}
	}
}

func benchmarkConflict(b *testing.B, goroutines int, own bool) {
	p := benchPool(b, 16<<20)
	refs := make([]Ref[node], goroutines)
	if err := p.Update(ctx, func(tx *Tx) (err error) {
		for i := range refs {
			if refs[i], err = Alloc(tx, node{}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	var all sync.WaitGroup
	for i := range goroutines {
		all.Go(func() {
			r := refs[0]
			if own {
				r = refs[i]
			}
			for range b.N/goroutines + 1 {
				if err := increment(p, r); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}
