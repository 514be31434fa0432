package pmem

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// An object that changes between two looks at it is read as it was, or as it is, and not in part
// (the seqlock). It is changed before each read of it in turn.
func TestChangedWhileRead(t *testing.T) {
	if raceEnabled {
		t.Skip("in programs built with -race who reads locks the stripe, and nothing changes meanwhile")
	}
	was, is := bytes.Repeat([]byte{1}, 900), bytes.Repeat([]byte{2}, 900)
	for n := 1; ; n++ {
		in := new(injector)
		p, err := openSlow(make([]byte, 40*8192), in, CreateOn)
		if err != nil {
			t.Fatal(err)
		}
		var r Ref[Bytes]
		update(t, p, func(tx *Tx) (err error) { r, err = AllocBytes(tx, was); return err })
		reads, changed := 0, false
		in.read = func(off, length int64) error {
			if off < r.Offset()+spaceOf(900) && off+length > r.Offset() && !changed {
				if reads++; reads == n {
					changed = true
					update(t, p, func(tx *Tx) error { return SetBytes(tx, r, 0, is) })
				}
			}
			return nil
		}
		view(t, p, func(tx *Tx) error {
			got, err := AppendBytes(tx, r, nil)
			if err != nil {
				return err
			}
			if !bytes.Equal(got, was) && !bytes.Equal(got, is) {
				t.Errorf("changed before read %d of it: the first byte is of transaction %d, the last one of %d", n, got[0], got[899])
			}
			return nil
		})
		if !changed {
			if n < 3 {
				t.Errorf("it is read %d times: this shows nothing", n-1)
			}
			return
		}
	}
}

// What a committer has put in place is seen when it has released all of it, and not before: a
// reader that saw the state before it waits.
func TestInPlaceAndNotReleased(t *testing.T) {
	p := newTestPool(t, 1<<20, Options{})
	var a, b Ref[node]
	update(t, p, func(tx *Tx) (err error) {
		if a, err = Alloc(tx, node{}); err != nil {
			return err
		}
		for p.stripes.of(b.Offset()) == p.stripes.of(a.Offset()) || b.IsNil() {
			if b, err = Alloc(tx, node{}); err != nil {
				return err
			}
		}
		return nil
	})
	inPlace, runs := make(chan struct{}), 0
	var committer sync.WaitGroup
	view(t, p, func(tx *Tx) error {
		first, err := Get(tx, a)
		if err != nil {
			return err
		}
		if runs++; runs == 1 {
			committer.Go(func() {
				update(t, p, func(tx *Tx) error {
					tx.OnApply(func() {
						close(inPlace)
						time.Sleep(50 * time.Millisecond) // the stripes are held
					})
					if err := Set(tx, a, node{Value: 1}); err != nil {
						return err
					}
					return Set(tx, b, node{Value: 1})
				})
			})
			<-inPlace
		}
		second, err := Get(tx, b)
		if err == nil && first != second {
			t.Errorf("run %d saw %d, and then %d", runs, first.Value, second.Value)
		}
		return err
	})
	committer.Wait()
	if runs != 2 {
		t.Errorf("it ran %d times", runs)
	}
}

// A reader that goes on to a later state sees all of that state: what is committed while it looks at
// what it has read, of which there is so much here that it takes a while, is later than that state.
func TestCommittedDuringALook(t *testing.T) {
	p := newTestPool(t, 1<<20, Options{})
	var a, b, other Ref[node]
	update(t, p, func(tx *Tx) error {
		var err1, err2, err3 error
		a, err1 = Alloc(tx, node{})
		b, err2 = Alloc(tx, node{})
		other, err3 = Alloc(tx, node{})
		return errors.Join(err1, err2, err3)
	})
	rounds := 10
	if raceEnabled {
		rounds = 2
	}
	for i := range rounds {
		look, runs := make(chan struct{}), 0
		var seen atomic.Bool
		var committer sync.WaitGroup
		committer.Go(func() {
			<-look
			for v := uint64(1); !seen.Load(); v++ {
				update(t, p, func(tx *Tx) error { return errors.Join(Set(tx, a, node{Value: v}), Set(tx, b, node{Value: v})) })
			}
		})
		view(t, p, func(tx *Tx) error {
			first, err := Get(tx, a)
			if err != nil {
				return err
			}
			if runs++; runs == 1 {
				tx.reads = append(tx.reads, slices.Repeat([]uint32{p.stripes.of(0)}, 2<<20)...)
				if err := increment(p, other); err != nil {
					return err
				}
				close(look)
			}
			if _, err := Get(tx, other); err != nil { // which is later than what it sees
				return err
			}
			second, err := Get(tx, b)
			if err == nil && first != second {
				t.Errorf("round %d, run %d saw %d, and then %d", i, runs, first.Value, second.Value)
			}
			return err
		})
		seen.Store(true)
		committer.Wait()
	}
}

// A reference to what was freed is stale, also where its span becomes another one while the
// reference is followed: what is there then is not taken for a damaged object.
func TestSpanChangesWhileRead(t *testing.T) {
	if raceEnabled {
		t.Skip("in programs built with -race who reads locks the stripe, and nothing changes meanwhile")
	}
	in := new(injector)
	p, err := openSlow(make([]byte, 40*8192), in, CreateOn)
	if err != nil {
		t.Fatal(err)
	}
	var refs [4]Ref[Bytes]
	update(t, p, func(tx *Tx) (err error) {
		for i := range refs {
			if refs[i], err = AllocBytes(tx, make([]byte, 100)); err != nil {
				return err
			}
		}
		return nil
	})
	for _, r := range refs {
		update(t, p, func(tx *Tx) error { return Free(tx, r) })
	}
	last := refs[len(refs)-1]
	changed := false
	in.read = func(off, _ int64) error {
		if changed || off != last.Offset() {
			return nil
		}
		changed = true
		for {
			err := p.Update(ctx, func(tx *Tx) error { _, err := AllocBytes(tx, bytes.Repeat([]byte{0xff}, 8000)); return err })
			if errors.Is(err, ErrFull) {
				return nil
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	err = p.View(ctx, func(tx *Tx) error { _, err := AppendBytes(tx, last, nil); return err })
	if !errors.Is(err, ErrStale) || !changed {
		t.Errorf("what was freed, its span another one meanwhile (%v): %v", changed, err)
	}
	if b := make([]byte, 1); p.m.Read(last.Offset(), b) != nil || b[0] != 0xff {
		t.Errorf("the span is what it was: this shows nothing")
	}
}

// A stripe has one holder.
func TestStripeHasOneHolder(t *testing.T) {
	if raceEnabled {
		t.Skip("in programs built with -race a mutex is behind each stripe")
	}
	const goroutines, each = 4, 1_000_000
	p := newTestPool(t, 1<<20, Options{})
	held := 0
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for range each {
				v := p.stripes.lock(3)
				held++
				p.stripes.unlock(3, v)
			}
		})
	}
	all.Wait()
	if held != goroutines*each {
		t.Errorf("%d times held alone, %d counted", goroutines*each, held)
	}
}

// Close waits for who is reading: the memory is there until then.
func TestCloseWaits(t *testing.T) {
	p := newTestPool(t, 1<<20, Options{})
	var r Ref[node]
	update(t, p, func(tx *Tx) (err error) { r, err = Alloc(tx, node{Value: 7}); return err })
	closed := make(chan error, 1)
	view(t, p, func(tx *Tx) error {
		go func() { closed <- p.Close() }()
		select {
		case err := <-closed:
			t.Fatalf("closed beside a transaction: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		n, err := Get(tx, r)
		if n.Value != 7 {
			t.Errorf("%d", n.Value)
		}
		return err
	})
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := p.View(ctx, func(*Tx) error { return nil }); err != ErrClosed {
		t.Errorf("after Close: %v", err)
	}
}
