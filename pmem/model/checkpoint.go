package model

import (
	"encoding/binary"

	"github.com/safevma/safevma/pmem/medium"
)

// Checkpoint moves the tail past what was applied when it began. Others may commit beside it: the
// function stands for them.
func (p *Pool) Checkpoint(beside func() error) error {
	return p.alone(func() error {
		return p.checkpoint(func() error {
			p.lock.Unlock()
			defer p.lock.Lock()
			return beside()
		})
	})
}

func nobody() error { return nil }

// checkpoint makes durable what was applied, and then moves the tail. R5: in that order, past
// nothing that was applied since the sync began, and nothing behind the tail is overwritten
// before the tail is durable.
func (p *Pool) checkpoint(beside func() error) error {
	done := p.live
	if len(done) == 0 {
		return nil
	}
	if !p.broken(R5Applied) {
		if err := p.persist(done); err != nil {
			return err
		}
	}
	if err := beside(); err != nil {
		return err
	}
	end := p.end(done[len(done)-1])
	if p.tail.sequence >= end.sequence {
		return nil // the others were quicker
	}
	p.live, p.tail = p.live[len(done):], end
	if p.broken(R5Late) {
		p.tail = p.head
	}
	return p.writeTail()
}

// persist makes durable what records changed.
func (p *Pool) persist(all []*record) error {
	var extents []medium.Extent
	seen := map[uint64]bool{}
	for _, r := range all {
		for _, c := range r.changes {
			if off := c.target &^ wayMask; !seen[off] {
				seen[off] = true
				extents = append(extents, medium.Extent{Off: int64(off), Len: 8})
			}
		}
	}
	return p.m.PersistAll(extents)
}

// writeTail uses two slots in turn, so that a torn one leaves the other.
func (p *Pool) writeTail() error {
	off := p.tailSlot*superB + tailOffset
	p.tailSlot = 1 - p.tailSlot
	w := []uint64{p.generation, p.tail.sequence, p.tail.slot}
	raw := encode([]uint64{w[0], w[1], checksum(w...), w[2]})
	if err := p.m.Store(off, raw, medium.Superblock); err != nil || p.broken(R5Tail) {
		return err
	}
	return p.m.Persist(off, int64(len(raw)))
}

// readTail takes the valid tail with the highest sequence of this generation, if there is one.
func (p *Pool) readTail() error {
	for i := range int64(2) {
		raw := make([]byte, 32)
		if err := p.m.Read(i*superB+tailOffset, raw); err != nil {
			return err
		}
		word := func(i int) uint64 { return binary.LittleEndian.Uint64(raw[8*i:]) }
		at := position{slot: word(3), sequence: word(1)}
		valid := word(2) == checksum(word(0), at.sequence, at.slot) || p.broken(R5Torn)
		if word(0) == p.generation && valid && at.sequence > p.tail.sequence {
			p.tail = at
		}
	}
	return nil
}
