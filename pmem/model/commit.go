package model

import "github.com/safevma/safevma/pmem/medium"

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
			if err := p.checkpoint(nobody); err != nil {
				return err
			}
			continue
		}
		records := p.records(all[:n])
		if err := p.appendAll(records); err != nil {
			return err
		}
		if !p.broken(R6) {
			if err := p.applyAll(records); err != nil {
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

// applyAll puts the changes of records in place, with plain stores. R1, R2: this is the only
// place where what a record covers changes, and it goes in sequence.
func (p *Pool) applyAll(all []*record) error {
	for _, r := range all {
		for _, c := range r.changes {
			if err := p.apply(c); err != nil {
				return err
			}
		}
		p.live = append(p.live, r)
	}
	return nil
}

func (p *Pool) apply(c change) error {
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
	return p.m.Store8(off, v, medium.Apply)
}
