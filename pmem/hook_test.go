package pmem

import "testing"

// A function of OnApply that panics ends a transaction that is committed all the same: its space is
// taken, and who has read what it changed meets a conflict.
func TestHookPanics(t *testing.T) {
	p := newTestPool(t, 1<<20, Options{})
	var word, made Ref[cacheLine]
	update(t, p, func(tx *Tx) (err error) { word, err = Alloc(tx, cacheLine{1}); return err })
	meanwhile := func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic did not pass")
			}
		}()
		_ = p.Update(ctx, func(tx *Tx) (err error) {
			tx.OnApply(func() { panic("a hook") })
			if made, err = Alloc(tx, cacheLine{2}); err != nil {
				return err
			}
			return Set(tx, word, cacheLine{3})
		})
	}
	runs := 0
	update(t, p, func(tx *Tx) error {
		before, err := Get(tx, word)
		if err != nil {
			return err
		}
		if runs++; runs == 1 {
			meanwhile()
		}
		before[1] = 4
		return Set(tx, word, before)
	})
	update(t, p, func(tx *Tx) error {
		other, err := Alloc(tx, cacheLine{5})
		if other.Offset() == made.Offset() {
			t.Error("the space of an object was given to another one")
		}
		return err
	})
	view(t, p, func(tx *Tx) error {
		v, err := Get(tx, word)
		if err == nil && v != (cacheLine{3, 4}) {
			t.Errorf("a change is lost: %v", v)
		}
		if v, err := Get(tx, made); err != nil || v != (cacheLine{2}) {
			t.Errorf("the object is %v, %v", v, err)
		}
		return err
	})
}
