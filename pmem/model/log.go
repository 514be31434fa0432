package model

import (
	"errors"

	"github.com/safevma/safevma/pmem/medium"
)

const maxChanges = 5

var errTooBig = errors.New("a transaction of the model has 1 to 5 changes")

func (p *Pool) slotOffset(slot uint64) int64 { return logOffset + slotSize*int64(slot%p.Slots) }

// record is one of the log.
type record struct {
	generation, sequence, durable uint64
	changes                       []change
}

func (r *record) words() []uint64 {
	w := []uint64{r.generation, r.sequence, r.durable, uint64(len(r.changes))}
	for _, c := range r.changes {
		w = append(w, c.target, c.value)
	}
	return append(w, checksum(w...))
}

// readRecord reads a slot. R4: a record counts only if this generation wrote it.
func (p *Pool) readRecord(slot uint64) (*record, error) {
	w, err := p.read(p.slotOffset(slot), slotSize/8)
	if err != nil || w[0] != p.generation || w[3] > maxChanges {
		return nil, err
	}
	r := &record{generation: w[0], sequence: w[1], durable: w[2]}
	n := 4 + 2*w[3]
	if w[n] != checksum(w[:n]...) {
		return nil, nil
	}
	for i := uint64(4); i < n; i += 2 {
		r.changes = append(r.changes, change{w[i], w[i+1]})
	}
	return r, nil
}

// appendAll appends records, in sequence, with one fence. That is the commit.
func (p *Pool) appendAll(all [][]change) error {
	t := p.m.Pin()
	defer t.Unpin()
	at := p.head
	for _, changes := range all {
		r := &record{p.generation, at.sequence + 1, p.durable, changes}
		if err := t.Stream(p.slotOffset(at.slot), encode(r.words()), medium.Log); err != nil {
			return err
		}
		at = position{at.slot + 1, at.sequence + 1}
	}
	if p.broken(R6) { // seen before it is durable
		for _, changes := range all {
			if err := p.apply(changes); err != nil {
				return err
			}
		}
		p.lock.Unlock()
		p.lock.Lock()
	}
	if !p.broken(R3) { // R3: durable before it is acknowledged, with every earlier sequence
		if err := t.Fence(); err != nil {
			return err
		}
	}
	p.head, p.durable = at, at.sequence
	return nil
}
