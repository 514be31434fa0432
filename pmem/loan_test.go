package pmem

import (
	"bytes"
	"errors"
	"testing"
)

// What is lent stays as it is until the last of those that look at it has ended, also when it was
// freed. Then its space is used again.
func TestFreedWhileLent(t *testing.T) {
	for name, size := range map[string]int{"small": 100, "past the log": 1800, "big": 20_000} {
		t.Run(name, func(t *testing.T) { testFreedWhileLent(t, size) })
	}
}

func testFreedWhileLent(t *testing.T, size int) {
	p := newTestPool(t, 40*8192, Options{LogSize: 8192, SpanSize: 8192})
	want := bytes.Repeat([]byte{7}, size)
	var r Ref[Bytes]
	update(t, p, func(tx *Tx) (err error) { r, err = AllocImmutableBytes(tx, want); return err })
	view(t, p, func(tx *Tx) error {
		lent, err := BorrowBytes(tx, r)
		if err != nil {
			return err
		}
		view(t, p, func(tx *Tx) error { // it borrows later, and ends before
			if _, err := BorrowBytes(tx, r); err != nil {
				return err
			}
			update(t, p, func(tx *Tx) error { return Free(tx, r) })
			return nil
		})
		view(t, p, func(tx *Tx) error { // one that began after the free
			other := allocImmutable(t, p, size)
			_, err := BorrowBytes(tx, other)
			if errors.Is(err, ErrStale) {
				t.Error("what was made is stale")
			}
			return err
		})
		overwritten := useUp(t, p, size, r.Offset())
		if overwritten || !bytes.Equal(lent, want) {
			t.Errorf("%d bytes that were lent are used by others", size)
		}
		return nil
	})
	if !useUp(t, p, size, r.Offset()) {
		t.Error("the space is not used when nobody looks at it any more")
	}
}

func allocImmutable(t *testing.T, p *Pool, size int) (r Ref[Bytes]) {
	t.Helper()
	update(t, p, func(tx *Tx) (err error) { r, err = AllocImmutableBytes(tx, make([]byte, size)); return err })
	return r
}

// useUp allocates until there is no space, and reports whether one of the objects is at an offset.
func useUp(t *testing.T, p *Pool, size int, off int64) (there bool) {
	t.Helper()
	for {
		var r Ref[Bytes]
		err := p.Update(ctx, func(tx *Tx) (err error) { r, err = AllocBytes(tx, make([]byte, size)); return err })
		if errors.Is(err, ErrFull) {
			return there
		}
		if err != nil {
			t.Fatal(err)
		}
		there = there || r.Offset() == off
	}
}

// A root that changes while it is looked for is not seen beside what was there before.
func TestRootChangesWhileRead(t *testing.T) {
	if raceEnabled {
		t.Skip("in programs built with -race who reads locks the stripe, and nothing changes meanwhile")
	}
	in := new(injector)
	p, err := openSlow(make([]byte, 40*8192), in, CreateOn)
	if err != nil {
		t.Fatal(err)
	}
	var count Ref[node]
	var names [2]Ref[node]
	update(t, p, func(tx *Tx) error {
		var err1, err2, err3 error
		count, err1 = Alloc(tx, node{})
		names[0], err2 = Alloc(tx, node{})
		names[1], err3 = Alloc(tx, node{})
		return errors.Join(err1, err2, err3, SetRoot(tx, "name", names[0]))
	})
	changed, runs := false, 0
	view(t, p, func(tx *Tx) error {
		runs++
		in.read = func(off, _ int64) error {
			if !changed && off == rootPlace(0) {
				changed = true
				update(t, p, func(tx *Tx) error { return errors.Join(Set(tx, count, node{Value: 1}), SetRoot(tx, "name", names[1])) })
			}
			return nil
		}
		n, err := Get(tx, count)
		if err != nil {
			return err
		}
		r, err := Root[node](tx, "name")
		if err == nil && r != names[n.Value] {
			t.Errorf("run %d saw %d, and a root that is not of then", runs, n.Value)
		}
		return err
	})
	if runs != 2 {
		t.Errorf("it ran %d times", runs)
	}
}
