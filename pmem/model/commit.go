package model

import (
	"encoding/binary"

	"github.com/safevma/safevma/pmem/medium"
)

// commit makes changes durable: one record, one fence. Relaxed transactions that wait go before
// it. R6: the lock is released after the fence and the apply.
func (p *Pool) commit(changes ...change) error {
	if p.slotsOf(changes) > p.Slots {
		return errTooBig
	}
	if p.broken(R1) && len(changes) > 1 { // a writer besides the log
		last := changes[len(changes)-1]
		changes = changes[:len(changes)-1]
		if err := p.m.StorePersist8(int64(last.target&^wayMask), last.value, medium.Apply); err != nil {
			return err
		}
	}
	p.waiting = append(p.waiting, changes)
	return p.flushWaiting()
}

func (p *Pool) flushWaiting() error {
	all := p.waiting
	for len(all) > 0 {
		n := p.fitting(all)
		if n == 0 {
			if err := p.checkpoint(); err != nil {
				return err
			}
			continue
		}
		if err := p.appendAll(all[:n]); err != nil {
			return err
		}
		for _, changes := range all[:n] {
			if err := p.apply(changes); err != nil {
				return err
			}
		}
		all = all[n:]
	}
	p.waiting = nil
	return nil
}

// fitting returns how many of the records the log has room for.
func (p *Pool) fitting(all [][]change) (n int) {
	free := p.Slots - (p.head.slot - p.tail.slot)
	for ; n < len(all) && p.slotsOf(all[n]) <= free; n++ {
		free -= p.slotsOf(all[n])
	}
	return n
}

// apply puts a record's changes in place, with plain stores. R1, R2: this is the only place
// where what a record covers changes, and it goes in sequence.
func (p *Pool) apply(changes []change) error {
	for _, c := range changes {
		v, off := c.value, int64(c.target&^wayMask)
		if way := c.target & wayMask; way != put {
			old, err := p.m.Load8(off)
			if err != nil {
				return err
			}
			if v = old | c.value; way == reset {
				v = old &^ c.value
			}
		}
		if err := p.m.Store8(off, v, medium.Apply); err != nil {
			return err
		}
	}
	p.live = append(p.live, changes...)
	return nil
}

// checkpoint makes durable what was applied, and then moves the tail. R5: in that order, and
// nothing behind the tail is overwritten before the tail is durable.
func (p *Pool) checkpoint() error {
	if !p.broken(R5Applied) {
		if err := p.persistLive(); err != nil {
			return err
		}
	}
	p.live, p.tail = nil, p.head
	// Two slots in turn, so that a torn one leaves the other.
	off := p.slot*superB + tailOffset
	p.slot = 1 - p.slot
	w := []uint64{p.generation, p.tail.sequence, p.tail.slot}
	raw := encode([]uint64{w[0], w[1], checksum(w...), w[2]})
	if err := p.m.Store(off, raw, medium.Superblock); err != nil || p.broken(R5Tail) {
		return err
	}
	return p.m.Persist(off, int64(len(raw)))
}

func (p *Pool) persistLive() error {
	var all []medium.Extent
	seen := map[uint64]bool{}
	for _, c := range p.live {
		if off := c.target &^ wayMask; !seen[off] {
			seen[off] = true
			all = append(all, medium.Extent{Off: int64(off), Len: 8})
		}
	}
	return p.m.PersistAll(all)
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
		if word(0) == p.generation && word(2) == checksum(word(0), at.sequence, at.slot) && at.sequence > p.tail.sequence {
			p.tail = at
		}
	}
	return nil
}
