package model

import (
	"errors"

	"github.com/safevma/safevma/pmem/medium"
)

// ErrNoPool reports a medium without a valid superblock.
var ErrNoPool = errors.New("no pool here: neither superblock is valid")

// readSuperblocks takes the valid one with the highest counter (R4), and returns where the
// other one is.
func (p *Pool) readSuperblocks() (other int64, err error) {
	other = superA
	for _, off := range []int64{superA, superB} {
		w, err := p.read(off, 4)
		if err != nil {
			return 0, err
		}
		if w[0] <= p.counter || w[3] != checksum(w[:3]...) {
			continue
		}
		p.counter, p.generation, p.tail = w[0], w[1], position{0, w[2]}
		other = superA + superB - off
	}
	if p.counter == 0 {
		return other, ErrNoPool
	}
	return other, nil
}

// begin writes both superblocks, the older one first, with an empty log and a new generation.
// R4: both are durable before anything is appended.
func (p *Pool) begin(first int64) error {
	if !p.broken(R4Generation) || p.generation == 0 {
		// Injected randomness repeats from run to run; the counter does not.
		p.generation = p.rand.Uint64()&^0xffff + p.counter + 1
	}
	p.tail = position{0, p.head.sequence}
	p.head, p.durable = p.tail, p.head.sequence
	for _, off := range []int64{first, superA + superB - first} {
		p.counter++
		w := []uint64{p.counter, p.generation, p.head.sequence}
		raw := encode(append(w, checksum(w...)))
		if err := p.m.Store(off, raw, medium.Superblock); err != nil {
			return err
		}
		if p.broken(R4Durable) {
			continue
		}
		if err := p.m.Persist(off, int64(len(raw))); err != nil {
			return err
		}
	}
	return nil
}
