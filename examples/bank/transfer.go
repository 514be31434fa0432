package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"

	"github.com/safevma/safevma/pmem"
)

var errPoor = errors.New("not enough money in the account")

// transfer moves money, and counts that it did. When it returns nil, the transfer is durable; on
// any error but pmem.ErrOutcomeUnknown nothing has changed.
func (b *bank) transfer(ctx context.Context, teller, from, to int, amount int64) (count uint64, err error) {
	err = b.pool.Update(ctx, func(tx *pmem.Tx) error {
		// This may run more than once: another goroutine may have changed the same accounts.
		if err := b.add(tx, from, -amount); err != nil {
			return err
		}
		if err := b.add(tx, to, amount); err != nil {
			return err
		}
		t, err := pmem.Get(tx, b.Tellers[teller])
		if err != nil {
			return err
		}
		t.Transfers++
		count = t.Transfers
		return pmem.Set(tx, b.Tellers[teller], t)
	})
	return count, err
}

func (b *bank) add(tx *pmem.Tx, account int, amount int64) error {
	a, err := pmem.Get(tx, b.Accounts[account])
	if err != nil {
		return err
	}
	if a.Balance += amount; a.Balance < 0 {
		return errPoor // undoes what the transaction did so far
	}
	return pmem.Set(tx, b.Accounts[account], a)
}

// run transfers money from many goroutines for ever, and writes a receipt after each transfer: the
// teller, and which of its transfers it was.
func run(ctx context.Context, file string, receipts io.Writer) error {
	b, err := open(ctx, file)
	if err != nil {
		return err
	}
	defer b.pool.Close()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var all sync.WaitGroup
	for teller := range tellers {
		all.Go(func() { stop(b.work(ctx, teller, receipts)) })
	}
	all.Wait()
	return context.Cause(ctx)
}

func (b *bank) work(ctx context.Context, teller int, receipts io.Writer) error {
	for {
		count, err := b.transfer(ctx, teller, rand.IntN(accounts), rand.IntN(accounts), rand.Int64N(deposit))
		if errors.Is(err, errPoor) {
			continue
		}
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(receipts, "%d %d\n", teller, count); err != nil {
			return err
		}
	}
}

// sums are what an auditor looks at.
type sums struct {
	money     int64
	transfers uint64
	tellers   [tellers]uint64
}

// sum sees one state of the bank, while others go on transferring.
func (b *bank) sum(ctx context.Context) (s sums, err error) {
	err = b.pool.View(ctx, func(tx *pmem.Tx) error {
		s = sums{}
		for _, ref := range b.Accounts {
			a, err := pmem.Get(tx, ref)
			if err != nil {
				return err
			}
			s.money += a.Balance
		}
		for i, ref := range b.Tellers {
			t, err := pmem.Get(tx, ref)
			if err != nil {
				return err
			}
			s.tellers[i] = t.Transfers
			s.transfers += t.Transfers
		}
		return nil
	})
	return s, err
}
