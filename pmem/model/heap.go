package model

import (
	"errors"
	"fmt"

	"github.com/safevma/safevma/pmem/medium"
)

// ErrStale reports a reference to an object that was freed.
var ErrStale = errors.New("the object of this reference was freed")

// An object has two words of the user, and then its incarnation: how often it was allocated.
// That is the reference to it, and word i holds it as long as object i is there. A pool without
// words has neither: the bitmap is enough.
func objectOffset(i int) uint64      { return objectsOffset + 64*uint64(i) }
func incarnationOffset(i int) uint64 { return objectOffset(i) + 16 }

// New allocates object i, whose first words travel in the record, and lets word i reach it.
func (p *Pool) New(i int, values ...uint64) error {
	var all []change
	for j, v := range values {
		all = append(all, change{objectOffset(i) + 8*uint64(j), v})
	}
	return p.alone(func() error { return p.allocate(i, all) })
}

// NewDirect is New for a large object: it is written in place, and durable, before its record.
func (p *Pool) NewDirect(i int, a, b uint64) error {
	return p.alone(func() error {
		if !p.broken(R2) && p.covered(objectOffset(i)) {
			// R2: no live record may touch the space, the one that freed it included.
			if err := p.checkpoint(nobody); err != nil {
				return err
			}
		}
		off := int64(objectOffset(i))
		if err := errors.Join(p.m.Store(off, encode([]uint64{a, b}), medium.Direct), p.m.Persist(off, 16)); err != nil {
			return err
		}
		return p.allocate(i, nil)
	})
}

// allocate commits the changes together with what allocates object i.
func (p *Pool) allocate(i int, all []change) error {
	open, err := p.m.Load8(intentsOffset)
	if err != nil {
		return err
	}
	if open>>i&1 != 0 && !p.broken(EraseAllocated) {
		return ErrErasing
	}
	all = append(all, change{bitmapOffset | set, 1 << i})
	if p.Words == 0 {
		return p.commit(all...)
	}
	last, err := p.m.Load8(int64(incarnationOffset(i)))
	if err != nil {
		return err
	}
	all = append(all, change{wordOffset(i), last + 1})
	if p.broken(Stale) {
		return errors.Join(p.commit(all...), p.m.Store8(int64(incarnationOffset(i)), last+1, medium.Apply))
	}
	return p.commit(append(all, change{incarnationOffset(i), last + 1})...)
}

// free is what frees an object.
func (p *Pool) free(i int) []change {
	all := []change{{bitmapOffset | reset, 1 << i}}
	if p.Words > 0 {
		all = append(all, change{wordOffset(i), 0})
	}
	return all
}

// covered reports whether a live record changes an object, or frees one. The free changes
// the bitmap alone, so any change of the bitmap counts.
func (p *Pool) covered(off uint64) bool {
	for _, r := range p.live {
		for _, c := range r.changes {
			if t := c.target &^ wayMask; t == off || t == off+8 || t == bitmapOffset {
				return true
			}
		}
	}
	return false
}

// Free frees object i.
func (p *Pool) Free(i int) error {
	return p.alone(func() error { return p.commit(p.free(i)...) })
}

// Lookup returns the words of the object that a reference means.
func (p *Pool) Lookup(i int, reference uint64) ([]uint64, error) {
	allocated, err := p.allocated(i)
	if err != nil {
		return nil, err
	}
	w, err := p.read(int64(objectOffset(i)), 3)
	if err != nil {
		return nil, err
	}
	if !allocated || p.Words > 0 && w[2] != reference {
		return nil, fmt.Errorf("object %d, reference %d: %w", i, reference, ErrStale)
	}
	return w[:2], nil
}

func (p *Pool) allocated(i int) (bool, error) {
	bitmap, err := p.m.Load8(bitmapOffset)
	return bitmap>>i&1 != 0, err
}
