package model

import (
	"errors"
	"fmt"

	"github.com/safevma/safevma/pmem/crash"
	"github.com/safevma/safevma/pmem/medium"
)

// ErrDamage reports a record that was durable, and is not valid any more.
var ErrDamage = errors.New("damage in the log")

func newPool(e *crash.Env, o Options) *Pool {
	p := &Pool{Options: o, m: e.Medium, rand: e.Rand, lock: e.Medium.NewMutex()}
	p.turn = medium.NewCond(p.lock)
	for range o.Words {
		p.wordLocks = append(p.wordLocks, e.Medium.NewMutex())
	}
	return p
}

// Create makes a pool on a medium of zeros.
func Create(e *crash.Env, o Options) (*Pool, error) {
	p := newPool(e, o)
	return p, p.begin(superA)
}

// Open recovers a pool: it replays the log, makes the result durable, and begins an empty log.
func Open(e *crash.Env, o Options) (*Pool, error) {
	p := newPool(e, o)
	other, err := p.readSuperblocks()
	if err != nil {
		return nil, err
	}
	if err := p.readTail(); err != nil {
		return nil, err
	}
	if err := p.replay(); err != nil {
		return nil, err
	}
	if err := p.persistLive(); err != nil {
		return nil, err
	}
	p.live = nil
	if err := p.begin(other); err != nil || p.Objects == 0 || p.broken(EraseUnfinished) {
		return p, err
	}
	return p, p.finishErase()
}

// replay reads the records behind the tail, and then applies them. R5: exactly tail, +1, +1,
// and so on.
func (p *Pool) replay() error {
	var all []*record
	for p.head = p.tail; p.head.slot-p.tail.slot < p.Slots; {
		r, err := p.readRecord(p.head.slot, func(sequence, _ uint64) bool { return sequence == p.head.sequence+1 })
		if err != nil {
			return err
		}
		if r == nil {
			break
		}
		all = append(all, r)
		p.head = position{p.head.slot + p.slotsOf(r.changes), r.sequence}
	}
	if err := errors.Join(p.findDamage(), p.rewrite(all)); err != nil {
		return err
	}
	for _, r := range all {
		if err := p.apply(r.changes); err != nil {
			return err
		}
	}
	return nil
}

// rewrite makes durable what is about to be replayed, with one fence or sync. What is read may
// be in caches alone: of a page cache after a failed sync, of a CPU after a process was killed
// between its stores and its fence.
func (p *Pool) rewrite(all []*record) error {
	if len(all) == 0 || p.broken(Rewrite) {
		return nil
	}
	t := p.m.Pin()
	defer t.Unpin()
	slot := p.tail.slot
	for _, r := range all {
		var err error
		if slot, err = p.stream(t, slot, r); err != nil {
			return err
		}
	}
	return t.Fence()
}

// findDamage looks for a valid record that says that more was durable than was replayed (R7).
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
			return fmt.Errorf("%w: sequence %d is not valid, and sequence %d says that it was durable", ErrDamage, p.head.sequence+1, r.sequence)
		}
	}
	return nil
}
