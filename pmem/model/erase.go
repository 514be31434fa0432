package model

import (
	"errors"

	"github.com/safevma/safevma/pmem/medium"
)

// Erase frees object i, and returns when no failure brings back a byte of it.
func (p *Pool) Erase(i int) error {
	return errors.Join(p.Remove(i), p.Scrub())
}

// Remove frees object i together with an intent to erase it: removed, not erased. Until the
// intent is cleared, nothing is allocated there; other transactions go on.
func (p *Pool) Remove(i int) error {
	return p.alone(func() error { return p.commit(append(p.free(i), change{intentsOffset | set, 1 << i})...) })
}

// Scrub finishes open erases: it has the appender's turn all along.
func (p *Pool) Scrub() error { return p.alone(p.finishErase) }

// finishErase scrubs what has an open intent, and then clears the intents by a record. R2: no
// live record covers what is scrubbed.
func (p *Pool) finishErase() error {
	open, err := p.m.Load8(intentsOffset)
	if err != nil || open == 0 {
		return err
	}
	if err := p.checkpoint(nobody); err != nil {
		return err
	}
	all, err := p.scrub(open)
	if err != nil {
		return err
	}
	late := 0
	if p.broken(EraseCleared) {
		late = 1 // the object
	}
	if err := p.m.PersistAll(all[late:]); err != nil {
		return err
	}
	if err := p.commit(change{intentsOffset | reset, open}); err != nil {
		return err
	}
	return p.m.PersistAll(all[:late])
}

// scrub overwrites objects, and the log: none of it is live after a checkpoint, and old and
// torn records have copies.
func (p *Pool) scrub(open uint64) ([]medium.Extent, error) {
	var all []medium.Extent
	for i := range p.Objects {
		if open>>i&1 != 0 {
			all = append(all, medium.Extent{Off: int64(objectOffset(i)), Len: 16})
		}
	}
	if !p.broken(EraseLog) {
		all = append(all, medium.Extent{Off: logOffset, Len: slotSize * int64(p.Slots)})
	}
	for _, e := range all {
		if err := p.m.Store(e.Off, make([]byte, e.Len), medium.Scrub); err != nil {
			return nil, err
		}
	}
	return all, nil
}
