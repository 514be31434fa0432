package pmem

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/safevma/safevma/pmem/medium"
)

// TestFlips changes one byte of a pool at a time: it reads right, or says what is damaged.
func TestFlips(t *testing.T) {
	w := newWorld(t)
	places, masks := w.places(), []byte{0}
	if nightly {
		masks = []byte{1, 2, 4, 8, 16, 32, 64, 128, 255}
	}
	c, start := new(tally), time.Now()
	w.each(t, len(places)*len(masks), func(i int, image []byte) error {
		at, mask := places[i/len(masks)], masks[i%len(masks)]
		if mask == 0 {
			mask = 1 << (at * 5 % 8)
		}
		image[at] ^= mask
		if err := w.try(image, c, true); err != nil {
			return fmt.Errorf("byte %d ^ %#x: %w", at, mask, err)
		}
		return nil
	})
	t.Log(c, time.Since(start).Round(time.Millisecond))
}

// places are the bytes that are changed. Every night it is each byte; else each of what says
// where things are, some of the bytes of objects and of what is unused.
func (w *world) places() (all []int) {
	few := 3
	if raceEnabled || testing.Short() {
		few = 29
	}
	dense := make([]bool, len(w.image))
	mark := func(from, to int64) {
		for i := from; i < to; i++ {
			dense[i] = true
		}
	}
	mark(superA, superA+1024)
	mark(superB, superB+1024)
	for line := int64(rootsOffset); line < hostileHeap+spanEntrySize*20; line += 64 {
		if !isZero(w.image[line : line+64]) {
			mark(line, line+64)
		}
	}
	for _, o := range append(w.now.freed, w.now.live...) {
		off := Ref[Bytes]{o.ref}.Offset()
		mark(off, off+min(bytesOffset(o.size)+16, spaceOf(o.size)))
	}
	for i := range w.image {
		if nightly || dense[i] && i%few == 0 || i%(37*few) == 0 {
			all = append(all, i)
		}
	}
	return all
}

// TestBitOfLiveObject clears the bit of an object in the bitmap. It stays readable, nobody gets its
// slot, and when it is freed the slot is free once.
func TestBitOfLiveObject(t *testing.T) {
	w := newWorld(t)
	p, err := openImage(w.image, medium.DAX, new(injector))
	if err != nil {
		t.Fatal(err)
	}
	o := *w.now.find("again 1")
	s := p.heap.loaded(p.spanOf(Ref[Bytes]{o.ref}.Offset()))
	if s == nil {
		if s, err = p.heap.span(p.spanOf(Ref[Bytes]{o.ref}.Offset())); err != nil {
			t.Fatal(err)
		}
	}
	slot, _ := s.slotAt(Ref[Bytes]{o.ref}.Offset() & (p.span - 1))
	word, mask := p.bitmapWord(s, slot)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	le.PutUint64(w.image[word:], le.Uint64(w.image[word:])&^mask)

	if p, err = openImage(w.image, medium.DAX, new(injector)); err != nil {
		t.Fatal(err)
	}
	if got, bad, err := look(p, &o); err != nil || bad || !bytes.Equal(got, o.want) {
		t.Errorf("the object: damaged %v, %v", bad, err)
	}
	update(t, p, func(tx *Tx) error { return Free(tx, Ref[account]{o.ref}) })
	refs := map[int64]bool{}
	for range s.slots + 1 {
		update(t, p, func(tx *Tx) error {
			r, err := Alloc(tx, account{})
			if errors.Is(err, ErrFull) {
				return nil
			}
			if refs[r.Offset()] {
				t.Errorf("offset %d twice", r.Offset())
			}
			refs[r.Offset()] = true
			return err
		})
	}
}
