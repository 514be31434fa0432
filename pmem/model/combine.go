package model

import "github.com/safevma/safevma/pmem/medium"

// committer waits for its record.
type committer struct {
	changes []change
	done    bool
	err     error
}

// Add adds to a word, durably, and returns the sum. Others may do so at the same time, and
// share a fence. R6: the word's lock is released after the fence and the apply.
func (p *Pool) Add(i int, n uint64) (uint64, error) {
	p.wordLocks[i].Lock()
	defer p.wordLocks[i].Unlock()
	v, err := p.Get(i)
	if err != nil {
		return 0, err
	}
	return v + n, p.commitTogether(change{wordOffset(i), v + n})
}

// commitTogether hands a record to the appender, or is the appender: for its own record, and
// for those of all that wait.
func (p *Pool) commitTogether(changes ...change) error {
	c := &committer{changes: changes}
	p.lock.Lock()
	defer p.lock.Unlock()
	p.committers = append(p.committers, c)
	for !c.done && p.failed == nil {
		if p.appending {
			p.turn.Wait()
			continue
		}
		p.combine()
	}
	if c.done {
		return c.err
	}
	return p.failed
}

// combine takes the records that wait, in sequence, makes them durable with one write, which
// has one fence, applies them, and then wakes their committers. New ones may queue meanwhile.
func (p *Pool) combine() {
	n, err := p.room()
	all := p.committers[:n]
	if err == nil {
		p.committers = p.committers[n:]
		p.appending, p.combined = true, max(p.combined, n)
		if p.broken(R3Taken) {
			p.wake(all, nil)
		}
		p.lock.Unlock()
		err = p.writeTogether(all)
		p.lock.Lock()
		p.appending = false
	}
	for _, c := range all {
		if err == nil {
			err = p.apply(c.changes)
		}
	}
	p.failed = err
	p.wake(all, err)
}

func (p *Pool) wake(all []*committer, err error) {
	for _, c := range all {
		c.done, c.err = true, err
	}
	p.turn.Broadcast()
}

// room returns how many records go into one write: those that wait, up to the end of the ring.
// Relaxed transactions go before them.
func (p *Pool) room() (int, error) {
	if err := p.flushWaiting(); err != nil {
		return 0, err
	}
	if p.head.slot-p.tail.slot == p.Slots {
		if err := p.checkpoint(); err != nil {
			return 0, err
		}
	}
	free := min(p.Slots-(p.head.slot-p.tail.slot), p.Slots-p.head.slot%p.Slots)
	return int(min(uint64(len(p.committers)), free)), nil
}

func (p *Pool) writeTogether(all []*committer) error {
	at := p.head
	var parts [][]byte
	for i, c := range all {
		r := &record{p.generation, at.sequence + 1, p.durable, c.changes}
		raw := encode(p.parts(r)[0]) // Add changes one word
		if i < len(all)-1 {          // up to the next slot
			raw = append(raw, make([]byte, slotSize-len(raw))...)
		}
		parts = append(parts, raw)
		at = position{at.slot + 1, at.sequence + 1}
	}
	if err := p.m.WriteAll(p.slotOffset(p.head.slot), parts, medium.Log); err != nil {
		return err
	}
	p.head, p.durable = at, at.sequence
	return nil
}
