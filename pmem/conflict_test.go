package pmem

import (
	"bytes"
	"errors"
	"testing"
)

type holder struct{ Blob Ref[Bytes] }

// A transaction that comes to an object by what another one has changed meanwhile is run again: it
// must not take the object for one that was freed, also where the whole span is gone.
func TestFreedMeanwhile(t *testing.T) {
	for name, size := range map[string]int{"small": 100, "big": 100_000} {
		for _, verb := range []string{"read", "borrow", "set", "free", "set and free"} {
			t.Run(name+" "+verb, func(t *testing.T) { testFreedMeanwhile(t, size, verb, false) })
			t.Run(name+" "+verb+" in its space", func(t *testing.T) { testFreedMeanwhile(t, size, verb, true) })
		}
	}
}

func testFreedMeanwhile(t *testing.T, size int, verb string, again bool) {
	p := newTestPool(t, 4<<20, Options{})
	var r Ref[holder]
	update(t, p, func(tx *Tx) error {
		allocate := AllocBytes
		if verb == "borrow" {
			allocate = AllocImmutableBytes
		}
		blob, err := allocate(tx, bytes.Repeat([]byte{7}, size))
		if err != nil {
			return err
		}
		r, err = Alloc(tx, holder{blob})
		return err
	})
	runs := 0
	update(t, p, func(tx *Tx) error {
		h, err := Get(tx, r)
		if err != nil {
			return err
		}
		set := func() error { return SetBytes(tx, h.Blob, 1, []byte{8}) }
		if runs++; verb == "set and free" && !h.Blob.IsNil() {
			if err := set(); err != nil {
				return err
			}
		}
		if runs == 1 {
			update(t, p, func(tx *Tx) error {
				if err := Free(tx, h.Blob); err != nil {
					return err
				}
				return Set(tx, r, holder{})
			})
		}
		if h.Blob.IsNil() {
			return nil
		}
		if again { // in the space of what was freed, if it is small
			if _, err := AllocBytes(tx, make([]byte, size)); err != nil {
				return err
			}
		}
		switch verb {
		case "read":
			_, err = AppendBytes(tx, h.Blob, nil)
		case "borrow":
			_, err = BorrowBytes(tx, h.Blob)
		case "set":
			err = set()
		default:
			err = Free(tx, h.Blob)
		}
		return err
	})
	if runs != 2 {
		t.Errorf("it ran %d times", runs)
	}
}

// Who frees a big object that another one has just freed sees other spans. That is no damage.
func TestSpansFreedMeanwhile(t *testing.T) {
	p := newTestPool(t, 4<<20, Options{})
	var r Ref[Bytes]
	update(t, p, func(tx *Tx) (err error) { r, err = AllocBytes(tx, make([]byte, 200_000)); return err })
	err := p.Update(ctx, func(tx *Tx) error {
		w := wantBytes()
		var o object
		if err := tx.open(&o, r.Offset(), r.incarnation(), &w); err != nil {
			return err
		}
		if err := tx.close(&o, nil); err != nil {
			return err
		}
		if p.heap.loaded(o.s.index).class == classHead {
			update(t, p, func(tx *Tx) error { return Free(tx, r) })
		}
		return tx.freeRuns(o.place, o.header)
	})
	if !errors.Is(err, ErrStale) {
		t.Errorf("freed twice: %v", err)
	}
}
