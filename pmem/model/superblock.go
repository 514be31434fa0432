package model

import (
	"errors"

	"github.com/safevma/safevma/pmem/medium"
)

// ErrNoPool reports a medium without a valid superblock.
var ErrNoPool = errors.New("no pool here: neither superblock is valid")

// readSuperblocks takes the valid one with the highest counter (R4), and returns where it is.
func (p *Pool) readSuperblocks() (valid int64, err error) {
	for _, off := range []int64{superA, superB} {
		w, err := p.read(off, 4)
		if err != nil {
			return 0, err
		}
		if w[0] > p.counter && w[3] == checksum(w[:3]...) {
			p.counter, p.generation, p.tail, valid = w[0], w[1], position{0, w[2]}, off
		}
	}
	if p.counter == 0 {
		return 0, ErrNoPool
	}
	return valid, nil
}

func (p *Pool) storeSuperblock(off int64, sequence uint64) error {
	w := []uint64{p.counter, p.generation, sequence}
	return p.m.Store(off, encode(append(w, checksum(w...))), medium.Superblock)
}

// begin writes both superblocks, the older one first, with an empty log and a new generation.
// R4: both are durable before anything is appended.
func (p *Pool) begin(first int64) error {
	opening := p.generation != 0 // of what is there already
	if !p.broken(R4Generation) || !opening {
		// Injected randomness repeats from run to run; the counter does not.
		p.generation = p.rand.Uint64()&^0xffff + p.counter + 1
	}
	p.tail = position{0, p.head.sequence}
	p.head, p.durable = p.tail, p.head.sequence
	both := []int64{first, superA + superB - first}
	if opening && (p.broken(R4One) || p.broken(R4Durable)) {
		both = both[:1]
	}
	for _, off := range both {
		p.counter++
		if err := p.storeSuperblock(off, p.head.sequence); err != nil {
			return err
		}
		if opening && p.broken(R4Durable) {
			continue
		}
		if err := p.m.Persist(off, superSize); err != nil {
			return err
		}
	}
	return nil
}
