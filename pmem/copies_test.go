package pmem

import (
	"fmt"
	"testing"
)

// TestCopies loses one superblock, or one slot of the tail, after each event in the life of a pool,
// in which the log goes round. Everything is there all the same.
func TestCopies(t *testing.T) {
	w := newWorld(t)
	p := w.more(t)
	for i := range 24 {
		w.update(t, p, func(tx *Tx) ([]item, error) {
			n := []int{30, 1000, 1500}[i%3]
			r, err := AllocBytes(tx, pattern(i, n))
			return []item{bytesItem(fmt.Sprintf("more %d", i), r, pattern(i, n))}, err
		})
		if i > 0 {
			o := w.take(fmt.Sprintf("more %d", i-1))
			w.now.freed = append(w.now.freed, o)
			w.update(t, p, func(tx *Tx) ([]item, error) { return nil, o.free(tx) })
		}
	}
	if p.tail.at == 0 || p.head.at < 2*p.log {
		t.Fatalf("the log did not go round: from %v to %v", p.tail, p.head)
	}
	c := new(tally)
	for i, s := range w.steps {
		for _, place := range []int64{superA, superB, tailPlace(0), tailPlace(1)} {
			n := int64(superSize)
			if place%4096 != 0 {
				n = tailSize
			}
			image := append([]byte(nil), s.image...)
			clear(image[place : place+n])
			legal := func(bool) []contents { return w.after[s.acked-1 : min(s.acked+1, len(w.after))] }
			if err := try(image, c, false, legal); err != nil || c.refused.Load()+c.damaged.Load() > 0 {
				t.Fatalf("event %d of %d, without what is at %d: %v, %v", i, len(w.steps), place, c, err)
			}
		}
	}
	t.Log(c)
}
