package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/safevma/safevma/pmem"
)

const (
	accounts = 64
	tellers  = 4
	deposit  = 1000 // in each account at first
	poolSize = 4 << 20
)

// Account is an object in the pool. It is plain data: sizes stand in the names of its types, and
// there is no Go pointer in it.
type Account struct {
	Owner   [24]byte
	Balance int64
}

// Teller counts what a goroutine did. It is changed in the transaction of each transfer, so it
// says how many of them are there.
type Teller struct{ Transfers uint64 }

// Bank is what the root refers to. All else is found from here; what no root reaches is a leak.
type Bank struct {
	Accounts [accounts]pmem.Ref[Account]
	Tellers  [tellers]pmem.Ref[Teller]
}

// bank is an open one.
type bank struct {
	pool *pmem.Pool
	Bank
}

// open opens a bank, and recovers it if it was not closed.
func open(ctx context.Context, file string) (*bank, error) {
	pool, err := pmem.Open(file, pmem.Options{})
	if err != nil {
		return nil, err
	}
	b := &bank{pool: pool}
	err = pool.View(ctx, func(tx *pmem.Tx) error {
		root, err := pmem.Root[Bank](tx, "bank")
		if err != nil {
			return err
		}
		if root.IsNil() {
			return errors.New("no bank in this pool: run \"bank create\" again")
		}
		b.Bank, err = pmem.Get(tx, root) // a copy
		return err
	})
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return b, nil
}

// openOrCreate makes what is missing. Create leaves a whole pool or none, and the accounts are
// made in one transaction, so a crash at any point leaves something to go on from.
func openOrCreate(ctx context.Context, file string) (*bank, error) {
	pool, err := pmem.Create(file, poolSize, pmem.Options{})
	if errors.Is(err, fs.ErrExist) {
		pool, err = pmem.Open(file, pmem.Options{})
	}
	if err != nil {
		return nil, err
	}
	b := &bank{pool: pool}
	if err := pool.Update(ctx, b.found); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return b, nil
}

// found makes the accounts, unless they are there.
func (b *bank) found(tx *pmem.Tx) error {
	root, err := pmem.Root[Bank](tx, "bank")
	if err != nil {
		return err
	}
	if !root.IsNil() {
		b.Bank, err = pmem.Get(tx, root)
		return err
	}
	for i := range b.Accounts {
		a := Account{Balance: deposit}
		copy(a.Owner[:], fmt.Sprintf("customer %d", i))
		if b.Accounts[i], err = pmem.Alloc(tx, a); err != nil {
			return err
		}
	}
	for i := range b.Tellers {
		if b.Tellers[i], err = pmem.Alloc(tx, Teller{}); err != nil {
			return err
		}
	}
	if root, err = pmem.Alloc(tx, b.Bank); err != nil {
		return err
	}
	return pmem.SetRoot(tx, "bank", root)
}
