package pmem

import (
	"context"
	"errors"
	"sync"
)

var txs sync.Pool

// attempts is how often a transaction meets a conflict before it runs alone.
const attempts = 8

// Update runs a function in a transaction, and commits what it did: all of it, durably, or
// nothing, if it returns an error. Where it meets a conflict with another transaction it is run
// again. It always makes progress: after some conflicts it runs alone. The context counts until
// the record is handed to the log; after that the outcome is the log's.
//
// Within the function of another transaction of the same pool it is one of its own, which that other
// one may conflict with; where that one runs alone by now it is refused with [ErrNested], in the same
// goroutine, and waits for ever in another one that the function waits for.
//
// A store to memory that was borrowed, or memory that can't be read, ends the transaction with
// an error that is a [medium.ErrFault].
func (p *Pool) Update(ctx context.Context, fn func(tx *Tx) error) error {
	return p.run(ctx, p.newTx(true), fn)
}

// View runs a function that reads. It sees one state of the pool, between two transactions.
func (p *Pool) View(ctx context.Context, fn func(tx *Tx) error) error {
	return p.run(ctx, p.newTx(false), fn)
}

// updateWithin is Update for what a transaction needs besides itself, while it runs.
func (p *Pool) updateWithin(fn func(tx *Tx) error) error {
	tx := p.newTx(true)
	tx.alone = true
	return p.run(background, tx, fn)
}

func (p *Pool) run(ctx context.Context, tx *Tx, fn func(tx *Tx) error) error {
	if !p.enter() {
		tx.end()
		return ErrClosed
	}
	defer p.leave(tx)
	for i := 0; ; i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if i == attempts && !tx.alone {
			if err := p.gate.enter(); err != nil {
				return err
			}
			defer p.gate.leave()
			tx.alone = true
		}
		err := p.m.Guard(func() error { return tx.attempt(ctx, fn) })
		if !errors.Is(err, errConflict) {
			return err
		}
	}
}

func (p *Pool) enter() bool {
	p.active.Add(1)
	if p.broken() == ErrClosed {
		p.active.Add(-1)
		return false
	}
	return true
}

func (p *Pool) leave(tx *Tx) {
	tx.end()
	p.active.Add(-1)
}

// attempt runs the function once, and commits.
func (tx *Tx) attempt(ctx context.Context, fn func(tx *Tx) error) (err error) {
	tx.start()
	defer func() { // also where the function panics
		if !tx.taken {
			tx.giveBack()
		}
		tx.clear()
	}()
	err = fn(tx)
	if tx.conflict {
		return errConflict
	}
	if tx.p.halved.Load() { // whatever it has seen
		return tx.p.broken()
	}
	if err == nil {
		err = tx.failed
	}
	if err != nil || len(tx.edits) == 0 {
		if err == nil {
			tx.runHooks()
		}
		return err
	}
	if err := tx.p.broken(); err != nil {
		return err
	}
	return tx.commit(ctx)
}

func (tx *Tx) runHooks() {
	for _, fn := range tx.hooks {
		fn()
	}
}
