package pmem

import (
	"context"

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

// assign gives a class to a span that has none.
func (h *heap) assign(s *span, c uint8) (*span, error) {
	if err := h.space(s.index, 1); err != nil {
		h.none = append(h.none, s.index)
		return nil, err
	}
	next := h.p.newSpan(s.index, descriptor{class: c, used: true, base: s.base})
	if s.used {
		if err := h.prepare(s, next); err != nil {
			h.none = append(h.none, s.index)
			return nil, err
		}
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

// space makes sure that spans, and their table, can be written.
func (h *heap) space(first, n int64) error {
	if err := h.p.m.Allocate(h.p.spanOffset(first&^h.p.zoneMask), h.p.span); err != nil {
		return err
	}
	return h.p.m.Allocate(h.p.spanOffset(first), n<<h.p.spanShift)
}

// prepare makes the slots of a span to be say that they are free.
func (h *heap) prepare(s, next *span) error {
	if err := h.uncover(s.changed); err != nil {
		return err
	}
	var all []medium.Extent
	for slot := range next.slots {
		off := h.p.spanOffset(s.index) + slot*next.slot
		if err := h.p.m.Store(off, freed(s.base), medium.Direct); err != nil {
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
	return h.assign(next, c)
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
