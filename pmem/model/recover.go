package model

import (
	"errors"
	"fmt"

	"github.com/safevma/safevma/pmem/crash"
)

// ErrDamage reports a record that was durable, and is not valid any more.
var ErrDamage = errors.New("damage in the log")

// Create makes a pool on a medium of zeros.
func Create(e *crash.Env, o Options) (*Pool, error) {
	p := newPool(e.Medium, o)
	p.rand = e.Rand
	return p, p.begin(superA)
}

// Open recovers a pool: it replays the log, makes the result durable, and begins an empty log.
func Open(e *crash.Env, o Options) (*Pool, error) {
	p := newPool(e.Medium, o)
	p.rand = e.Rand
	valid, err := p.readSuperblocks()
	if err != nil {
		return nil, err
	}
	first := p.tail.sequence // that the superblock has
	if err := p.readTail(); err != nil {
		return nil, err
	}
	all, err := p.readLog()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(p.findDamage(), p.rewrite(valid, first, all)); err != nil {
		return nil, err
	}
	if err := errors.Join(p.applyAll(all), p.persist(p.live)); err != nil {
		return nil, err
	}
	p.live = nil
	if err := p.begin(superA + superB - valid); err != nil {
		return nil, err
	}
	if p.Objects == 0 || p.broken(EraseUnfinished) {
		return p, nil
	}
	return p, p.finishErase()
}

// readLog reads the records behind the tail. R5: exactly tail, +1, +1, and so on.
func (p *Pool) readLog() (all []*record, err error) {
	for p.head = p.tail; p.head.slot-p.tail.slot < p.Slots; {
		r, err := p.readRecord(p.head.slot, func(sequence, _ uint64) bool { return sequence == p.head.sequence+1 })
		if r == nil || err != nil {
			return all, err
		}
		all = append(all, r)
		p.head = p.end(r)
	}
	return all, nil
}

// rewrite makes durable what was read and is about to be relied on, with one fence or sync: the
// superblock, before the other one is overwritten, and the live log, before it is replayed. They
// may be in caches alone: of a page cache after a failed sync, of a CPU after a process was
// killed between its stores and its fence.
func (p *Pool) rewrite(superblock int64, sequence uint64, all []*record) error {
	t := p.m.Pin()
	defer t.Unpin()
	if !p.broken(RewriteSuperblock) {
		if err := errors.Join(p.storeSuperblock(superblock, sequence), t.Flush(superblock, superSize)); err != nil {
			return err
		}
	}
	if !p.broken(Rewrite) {
		for _, r := range all {
			if err := p.stream(t, r); err != nil {
				return err
			}
		}
	}
	return t.Fence()
}

// findDamage looks for a valid record that says that more was durable than was read (R7).
func (p *Pool) findDamage() error {
	if p.broken(R7) {
		return nil
	}
	for slot := range p.Slots {
		r, err := p.readRecord(slot, func(_, durable uint64) bool { return durable > p.head.sequence })
		if err != nil {
			return err
		}
		if r != nil {
			return fmt.Errorf("%w: sequence %d is not valid, and sequence %d says that it was durable",
				ErrDamage, p.head.sequence+1, r.sequence)
		}
	}
	return nil
}
