package model

import (
	"errors"
	"slices"
	"syscall"

	"github.com/safevma/safevma/pmem/medium"
)

var (
	// ErrErasing reports an object that can't be allocated yet: its erase is not through.
	ErrErasing = errors.New("an erase intent is open here")

	errTooBig = errors.New("a transaction of the model has no more changes than the log has room for")
)

func newPool(m *medium.Medium, o Options) *Pool {
	p := &Pool{Options: o, m: m, lock: m.NewMutex()}
	p.turn = medium.NewCond(p.lock)
	for range o.Words {
		p.wordLocks = append(p.wordLocks, m.NewMutex())
	}
	return p
}

// alone runs a change of the pool. Some errors touch nothing. Whatever else fails may be a failed
// sync, which poisons the pool: what it covered may be lost for ever, and a later sync does not
// bring it back.
func (p *Pool) alone(change func() error) error {
	p.lock.Lock()
	defer p.lock.Unlock()
	for p.appending {
		p.turn.Wait()
	}
	if p.failed != nil {
		return p.failed
	}
	err := change()
	if !slices.ContainsFunc([]error{errTooBig, ErrErasing, syscall.ENOSPC}, func(e error) bool { return errors.Is(err, e) }) {
		p.poison(err)
	}
	return err
}

// poison ends the use of the pool: readers are refused too, since what waits may be lost.
func (p *Pool) poison(err error) {
	if err != nil {
		p.waiting = nil
	}
	if !p.broken(Unpoisoned) {
		p.failed = err
	}
}

func wordOffset(i int) uint64 { return wordsOffset + 64*uint64(i) }

// Set changes the words from i on, in one transaction, durably.
func (p *Pool) Set(i int, values ...uint64) error {
	return p.alone(func() error { return p.commit(assign(i, values)...) })
}

// SetRelaxed is Set that returns before it is durable: the next durable transaction takes it.
func (p *Pool) SetRelaxed(i int, values ...uint64) error {
	return p.alone(func() error { p.waiting = append(p.waiting, assign(i, values)); return nil })
}

func assign(i int, values []uint64) (all []change) {
	for j, v := range values {
		all = append(all, change{wordOffset(i + j), v})
	}
	return all
}

// Get reads a word, through what waits to be committed.
func (p *Pool) Get(i int) (uint64, error) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.failed != nil {
		return 0, p.failed
	}
	return p.get(wordOffset(i))
}

func (p *Pool) get(off uint64) (uint64, error) {
	v, err := p.m.Load8(int64(off))
	for _, changes := range p.waiting {
		for _, c := range changes {
			if c.target == off {
				v = c.value
			}
		}
	}
	return v, err
}

// Confirm commits nothing, durably: its record says that those before it were durable.
func (p *Pool) Confirm() error { return p.Set(0) }
