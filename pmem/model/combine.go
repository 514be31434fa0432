package model

import "github.com/safevma/safevma/pmem/medium"

// committer waits for its record.
type committer struct {
	changes []change
	done    bool
	err     error
}

// combination is the most that one write had.
type combination struct {
	records      int
	chain, wraps bool // one of several records was a chain; several went round the end of the ring
}

// Add adds to words, in ascending order, durably, and returns the sums. Others may do so at the
// same time, and share a fence. R6: the words' locks are released after the fence and the apply.
func (p *Pool) Add(n uint64, words ...int) (sums []uint64, err error) {
	var changes []change
	for _, i := range words {
		p.wordLocks[i].Lock()
		defer p.wordLocks[i].Unlock()
		v, err := p.Get(i)
		if err != nil {
			return nil, err
		}
		sums = append(sums, v+n)
		changes = append(changes, change{wordOffset(i), v + n})
	}
	return sums, p.commitTogether(changes)
}

// commitTogether hands a record to the appender, or is the appender: for its own record, and
// for those of all that wait.
func (p *Pool) commitTogether(changes []change) error {
	if p.slotsOf(changes) > p.Slots {
		return errTooBig
	}
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
	records, err := p.take()
	all := p.committers[:len(records)]
	p.committers = p.committers[len(records):]
	if err == nil && p.broken(R6Combined) { // seen before it is durable
		err = p.applyAll(records)
	}
	if err == nil {
		p.appending = true
		if p.broken(R3Taken) {
			p.wake(all, nil)
		}
		p.lock.Unlock()
		err = p.writeTogether(records)
		p.lock.Lock()
		p.appending = false
	}
	if err == nil && !p.broken(R6Combined) {
		err = p.applyAll(records)
	}
	p.poison(err)
	p.wake(all, err)
}

func (p *Pool) wake(all []*committer, err error) {
	for _, c := range all {
		c.done, c.err = true, err
	}
	p.turn.Broadcast()
}

// take lays out the records that wait, as many as the log has room for. Relaxed transactions go
// before them.
func (p *Pool) take() ([]*record, error) {
	if err := p.flushWaiting(); err != nil {
		return nil, err
	}
	var all [][]change
	for _, c := range p.committers {
		all = append(all, c.changes)
	}
	if p.fitting(all) == 0 {
		if err := p.checkpoint(nobody); err != nil {
			return nil, err
		}
	}
	return p.records(all[:p.fitting(all)]), nil
}

// writeTogether writes records side by side, with one fence or sync; with two, where they go
// round the end of the ring.
func (p *Pool) writeTogether(all []*record) error {
	runs := [][][]byte{nil}
	for _, r := range all {
		for i, w := range p.parts(r) {
			if slot := r.slot + uint64(i); slot%p.Slots == 0 && slot > p.head.slot {
				runs = append(runs, nil)
			}
			last := &runs[len(runs)-1]
			*last = append(*last, encode(w))
		}
		p.met.chain = p.met.chain || len(all) > 1 && p.slotsOf(r.changes) > 1
	}
	p.met.records = max(p.met.records, len(all))
	p.met.wraps = p.met.wraps || len(all) > 1 && len(runs) > 1
	for i, off := range []int64{p.slotOffset(p.head.slot), logOffset}[:len(runs)] {
		if err := p.m.WriteAll(off, padded(runs[i]), medium.Log); err != nil {
			return err
		}
	}
	p.appended(all)
	return nil
}

// padded fills all parts but the last up to the next slot.
func padded(parts [][]byte) [][]byte {
	for i, raw := range parts[:len(parts)-1] {
		parts[i] = append(raw, make([]byte, slotSize-len(raw))...)
	}
	return parts
}
