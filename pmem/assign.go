package pmem

import (
	"context"
	"errors"
	"fmt"

	"github.com/safevma/safevma/pmem/medium"
)

var background = context.Background()

// The class of a span changes in steps, each of which is a record of its own, so that a failure
// between them leaves a span that is as good as before or after:
//
//	slots, all free → none, with a base → slots of another size, all free
//
// Before the second step the log is emptied (R2), and the header of each slot to be says that
// it is free, and had the incarnation of the base: old references stay stale.

// assign gives a class to a span that has none. Where that fails the caller lists it again.
func (h *heap) assign(s *span, c uint8) (*span, error) {
	if err := h.space(s.index, 1); err != nil {
		return nil, err
	}
	if err := h.blank(s); err != nil {
		return nil, err
	}
	next := h.p.newSpan(s.index, descriptor{class: c, used: true, base: s.base})
	if err := h.prepare(s, next); err != nil {
		return nil, err
	}
	if err := h.change(next); err != nil {
		return nil, err
	}
	if err := next.fill(func(int64) (uint64, error) { return 0, nil }); err != nil {
		return nil, err
	}
	h.list(next)
	return next, nil
}

// space makes sure that spans, and their table, can be written. A full device is an ErrFull.
func (h *heap) space(first, n int64) error {
	err := h.p.m.Allocate(h.p.spanOffset(first&^h.p.zoneMask), h.p.span)
	if err == nil {
		err = h.p.m.Allocate(h.p.spanOffset(first), n<<h.p.spanShift)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return nil
}

// errSkipped says that a span is not what it should be, and is left alone from now on.
var errSkipped = errors.New("the span is not used")

// skip leaves a span alone. fsck says what is wrong with it.
func (h *heap) skip(s *span) error {
	s.held = true
	return errSkipped
}

// untouched sees to it that a span that was never used is zeros. If it is not, then its descriptor
// was lost, and objects may be in it.
func (h *heap) untouched(s *span) error {
	var b, zeros [leastSpan]byte
	for at := int64(0); at < h.p.span; at += leastSpan {
		if err := h.p.m.Read(h.p.spanOffset(s.index)+at, b[:]); err != nil || b != zeros {
			return h.skip(s)
		}
	}
	return nil
}

// blank sees to it that the bitmap of a span without slots can be read, and is zeros: records that
// change it read it when they are applied, and must not fail then.
func (h *heap) blank(s *span) error {
	var b, zeros [spanEntrySize - spanBitmap]byte
	if err := h.p.m.Read(h.p.entryOffset(s.index)+spanBitmap, b[:]); err != nil || b != zeros {
		return h.skip(s)
	}
	return nil
}

// prepare makes the slots of a span to be say that they are free. Zeros say so.
func (h *heap) prepare(s, next *span) error {
	if !s.used {
		return h.untouched(s)
	}
	if err := h.uncover(s.changed); err != nil {
		return err
	}
	var all []medium.Extent
	for slot := range next.slots {
		off := h.p.spanOffset(s.index) + slot*next.slot
		b := freed(off, s.base)
		if err := h.p.stripes.past(off, b[:]); err != nil {
			return err
		}
		all = append(all, medium.Extent{Off: off, Len: freeHeader})
	}
	return h.p.persistDirect(all)
}

// uncover empties the log if a record of that sequence is live (R2).
func (h *heap) uncover(sequence uint64) error {
	if sequence <= h.p.checkpointed.Load() {
		return nil
	}
	return h.p.Checkpoint(background)
}

// persistDirect makes durable what was written past the log.
func (p *Pool) persistDirect(all []medium.Extent) error {
	err := p.m.PersistAll(all)
	if err == nil {
		return nil
	}
	p.turn.Lock()
	defer p.pass()
	defer p.turn.Unlock()
	return p.poison(err)
}

// change makes the descriptors of spans durable, and then what is known of them.
func (h *heap) change(all ...*span) error {
	c := &committer{record: make([]byte, headerSize), frees: true}
	for _, s := range all {
		c.record = appendRun(c.record, h.p.entryOffset(s.index), s.encode(s.index))
	}
	c.sum = updateCRC(0, c.record[headerSize:])
	if err := h.p.append(c); err != nil {
		return err
	}
	for _, s := range all {
		s.changed = c.sequence
		h.store(s)
	}
	return nil
}

func appendRun(record []byte, off int64, data []byte) []byte {
	record = le.AppendUint64(record, runHeader(runPut, off, int64(len(data))))
	return append(record, data...)
}

// reassign takes the class off a span that is empty, and gives it another one. It returns nil
// for a span that can't change any more.
func (h *heap) reassign(s *span, c uint8) (*span, error) {
	next, err := h.unassigned(s)
	if next == nil || err != nil {
		return nil, err
	}
	if err := h.change(next); err != nil {
		return nil, err
	}
	assigned, err := h.assign(next, c)
	if err != nil {
		h.list(next)
	}
	return assigned, err
}

// unassigned returns what a span is without its class, or nil where a slot is at its last
// incarnation, or not valid.
func (h *heap) unassigned(s *span) (*span, error) {
	base := s.base
	for slot := range s.slots {
		i, err := h.incarnation(h.p.spanOffset(s.index) + slot*s.slot)
		if err != nil || i == lastIncarnation {
			return nil, nil
		}
		base = max(base, i)
	}
	return h.p.newSpan(s.index, descriptor{used: true, base: base}), nil
}
