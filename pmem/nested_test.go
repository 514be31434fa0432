package pmem

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/safevma/safevma/pmem/medium"
)

// A transaction within another one that runs alone is refused, and does not wait for itself. The pool
// goes on.
func TestNested(t *testing.T) {
	m, err := medium.NewVolatile(1<<20, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	p, err := CreateOn(m, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var r Ref[node]
	update(t, p, func(tx *Tx) (err error) { r, err = Alloc(tx, node{}); return err })
	for name, inner := range map[string]func() error{
		"that commits":                   func() error { return increment(p, r) },
		"that conflicts again and again": func() error { return p.View(ctx, func(tx *Tx) error { return tx.conflicted() }) },
	} {
		done, runs := make(chan error, 1), 0
		go func() {
			done <- p.Update(ctx, func(tx *Tx) error {
				if runs++; runs <= attempts {
					return tx.conflicted()
				}
				return inner()
			})
		}()
		select {
		case err := <-done:
			if !errors.Is(err, ErrNested) || runs != attempts+1 {
				t.Errorf("one %s, in one that is run %d times: %v", name, runs, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("one %s waits", name) // and so would Close
		}
	}
	update(t, p, func(tx *Tx) error { return increment(p, r) }) // of its own, where nobody runs alone
	if n, err := valueOf(p, r); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestGoroutine(t *testing.T) {
	me, other := goroutine(), make(chan uint64)
	go func() { other <- goroutine() }()
	if n := <-other; me == 0 || n == 0 || n == me {
		t.Errorf("%d and %d", me, n)
	}
	runtime.Gosched()
	if goroutine() != me {
		t.Error("it has another number now")
	}
}
