package model

import (
	"errors"
	"fmt"
	"strings"

	"github.com/safevma/safevma/pmem/medium"
)

func wordOffset(i int) uint64   { return wordsOffset + 64*uint64(i) }
func objectOffset(i int) uint64 { return objectsOffset + 64*uint64(i) }

// alone runs a change of the pool. Whatever fails in it may be a failed sync, which poisons
// the pool: what it covered may be lost for ever, and a later sync does not bring it back.
func (p *Pool) alone(change func() error) error {
	p.lock.Lock()
	defer p.lock.Unlock()
	for p.appending {
		p.turn.Wait()
	}
	if p.failed != nil {
		return p.failed
	}
	err := change()
	if !errors.Is(err, errTooBig) { // which touched nothing
		p.failed = err
	}
	return err
}

// Set changes the words from i on, in one transaction, durably.
func (p *Pool) Set(i int, values ...uint64) error {
	return p.alone(func() error { return p.commit(assign(i, values)...) })
}

// SetRelaxed is Set that returns before it is durable: the next durable transaction takes it.
func (p *Pool) SetRelaxed(i int, values ...uint64) error {
	return p.alone(func() error { p.waiting = append(p.waiting, assign(i, values)); return nil })
}

func assign(i int, values []uint64) (all []change) {
	for j, v := range values {
		all = append(all, change{wordOffset(i + j), v})
	}
	return all
}

// Get reads a word, through what waits to be committed.
func (p *Pool) Get(i int) (uint64, error) {
	p.lock.Lock()
	defer p.lock.Unlock()
	return p.get(wordOffset(i))
}

func (p *Pool) get(off uint64) (uint64, error) {
	v, err := p.m.Load8(int64(off))
	for _, changes := range p.waiting {
		for _, c := range changes {
			if c.target == off {
				v = c.value
			}
		}
	}
	return v, err
}

// Checkpoint empties the log.
func (p *Pool) Checkpoint() error {
	return p.alone(func() error { return p.checkpoint() })
}

// Confirm commits nothing, durably: its record says that those before it were durable.
func (p *Pool) Confirm() error { return p.Set(0) }

// New allocates object i, whose first words travel in the record, and lets word i reach it.
func (p *Pool) New(i int, values ...uint64) error {
	var all []change
	for j, v := range values {
		all = append(all, change{objectOffset(i) + 8*uint64(j), v})
	}
	return p.alone(func() error { return p.commit(append(all, p.reach(set, i)...)...) })
}

// reach is what allocates or frees an object, together with the word that reaches it. A pool
// without words has the bitmap for that too.
func (p *Pool) reach(way uint64, i int) []change {
	all := []change{{bitmapOffset | way, 1 << i}}
	if p.Words > 0 {
		all = append(all, change{wordOffset(i), reset - way})
	}
	return all
}

// NewDirect is New for a large object: it is written in place, and durable, before its record.
func (p *Pool) NewDirect(i int, a, b uint64) error {
	return p.alone(func() error { return p.newDirect(i, a, b) })
}

func (p *Pool) newDirect(i int, a, b uint64) error {
	if !p.broken(R2) && p.covered(objectOffset(i)) {
		// R2: no live record may touch the space, the one that freed it included.
		if err := p.checkpoint(); err != nil {
			return err
		}
	}
	off := int64(objectOffset(i))
	if err := errors.Join(p.m.Store(off, encode([]uint64{a, b}), medium.Direct), p.m.Persist(off, 16)); err != nil {
		return err
	}
	return p.commit(p.reach(set, i)...)
}

// covered reports whether a live record changes an object, or frees one. The free changes
// the bitmap alone, so any change of the bitmap counts.
func (p *Pool) covered(off uint64) bool {
	for _, c := range p.live {
		if t := c.target &^ wayMask; t == off || t == off+8 || t == bitmapOffset {
			return true
		}
	}
	return false
}

// Free frees object i.
func (p *Pool) Free(i int) error {
	return p.alone(func() error { return p.commit(p.reach(reset, i)...) })
}

// root returns word i, or the bit of object i where there are no words.
func (p *Pool) root(i int) (uint64, error) {
	if p.Words > 0 {
		return p.get(wordOffset(i))
	}
	v, err := p.m.Load8(bitmapOffset)
	return v >> i & 1, err
}

// Dump shows words and objects, as a user sees them.
func (p *Pool) Dump() (string, error) {
	var b strings.Builder
	for i := range max(p.Words, p.Objects) {
		v, err := p.root(i)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%d ", v)
		if i >= p.Objects || v == 0 {
			continue
		}
		w, err := p.read(int64(objectOffset(i)), 2)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%v ", w)
	}
	return b.String(), nil
}

// Check holds the bitmap against reachability: no leak, and no use of what is free.
func (p *Pool) Check() error {
	if p.Objects == 0 {
		return nil
	}
	if open, err := p.m.Load8(intentsOffset); err != nil || open != 0 {
		return errors.Join(err, fmt.Errorf("erase intents %b are open", open))
	}
	if p.Words == 0 {
		return nil
	}
	bitmap, err := p.m.Load8(bitmapOffset)
	if err != nil {
		return err
	}
	for i := range p.Objects {
		v, err := p.get(wordOffset(i))
		if err != nil {
			return err
		}
		if allocated := bitmap>>i&1 != 0; allocated != (v != 0) {
			return fmt.Errorf("object %d: allocated %v, reachable %v", i, allocated, v != 0)
		}
	}
	return nil
}
