package pmem

import (
	"errors"
	"testing"
)

// A function that hides a conflict is run again all the same.
func TestHiddenConflict(t *testing.T) {
	p := newTestPool(t, 1<<20, Options{})
	var refs [3]Ref[node]
	update(t, p, func(tx *Tx) (err error) {
		for i := range refs {
			if refs[i], err = Alloc(tx, node{}); err != nil {
				return err
			}
		}
		return nil
	})
	runs, hooks := 0, 0
	update(t, p, func(tx *Tx) error {
		runs++
		tx.OnApply(func() { hooks++ })
		first, _ := Get(tx, refs[0])
		if runs == 1 {
			update(t, p, func(tx *Tx) error {
				return errors.Join(Set(tx, refs[0], node{Value: 1}), Set(tx, refs[1], node{Value: 1}))
			})
		}
		second, _ := Get(tx, refs[1])
		_ = Set(tx, refs[2], node{Value: first.Value + second.Value})
		return nil
	})
	view(t, p, func(tx *Tx) error {
		n, err := Get(tx, refs[2])
		if runs != 2 || hooks != 1 || n.Value != 2 {
			t.Errorf("run %d times, its hook %d times, and it saw %d", runs, hooks, n.Value)
		}
		return err
	})
}

// A function that hides a change that failed half way is not committed.
func TestHiddenDamage(t *testing.T) {
	memory := make([]byte, 40*8192)
	p, err := openSlow(memory, &injector{}, CreateOn)
	if err != nil {
		t.Fatal(err)
	}
	var r Ref[Bytes]
	update(t, p, func(tx *Tx) (err error) { r, err = AllocBytes(tx, make([]byte, 100)); return err })
	memory[r.Offset()+bytesOffset(100)+50] ^= 1
	err = p.Update(ctx, func(tx *Tx) error {
		_ = SetBytes(tx, r, 0, []byte{1})
		return nil
	})
	if !errors.Is(err, ErrDamage) {
		t.Errorf("the bytes that stay are damaged: %v", err)
	}
}

// Committers take stripes in ascending order, each once, whatever they changed first: else two of
// them wait for each other.
func TestLocksAscend(t *testing.T) {
	tx := new(Tx)
	for _, stripe := range []uint32{5, 3, 9, 3, 5, 1} {
		tx.addLock(stripe)
	}
	for i, want := range []uint32{1, 3, 5, 9} {
		if len(tx.locks) != 4 || tx.locks[i].stripe != want {
			t.Fatalf("%v", tx.locks)
		}
	}
}
