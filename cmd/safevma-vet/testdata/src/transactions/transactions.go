// Package transactions uses a *pmem.Tx outside of its function or goroutine, beside twins
// that don't.
package transactions

import (
	"context"
	"sync"

	"github.com/safevma/safevma/pmem"
)

var (
	current *pmem.Tx
	ctx     = context.Background()
)

type store struct {
	pool *pmem.Pool
	tx   *pmem.Tx
}

type view struct {
	tx *pmem.Tx
	r  pmem.Ref[uint64]
}

func (s *store) keeps(r pmem.Ref[uint64], c chan *pmem.Tx) error {
	var kept *pmem.Tx
	var later func() error
	var v view
	err := s.pool.Update(ctx, func(tx *pmem.Tx) error {
		kept = tx                                  // want `the transaction is kept in a variable from outside of the transaction: a \*pmem.Tx is valid until its function returns`
		s.tx = tx                                  // want `the transaction is kept behind a parameter`
		current = tx                               // want `the transaction is kept in a global variable`
		v.tx = tx                                  // want `the transaction is kept in a variable from outside`
		v = view{tx, r}                            // want `the transaction is kept in a variable from outside`
		later = func() error { return use(tx, r) } // want `the transaction is kept in a variable from outside`
		c <- tx                                    // want `the transaction is sent on a channel`
		return nil
	})
	_, _, _ = kept, later, v
	return err
}

func (s *store) goroutines(r pmem.Ref[uint64]) error {
	var group sync.WaitGroup
	return s.pool.Update(ctx, func(tx *pmem.Tx) error {
		go use(tx, r)                   // want `the transaction is used in another goroutine`
		go func() { use(tx, r) }()      // want `the transaction is used in another goroutine`
		go tx.OnApply(nil)              // want `the transaction is used in another goroutine`
		group.Go(func() { use(tx, r) }) // want `the transaction is used in another goroutine`
		go func() {
			s.pool.Update(ctx, func(tx *pmem.Tx) error { return use(tx, r) })
		}()
		return nil
	})
}

func (s *store) begin(tx *pmem.Tx) {
	s.tx = tx    // want `the transaction is kept behind a parameter`
	current = tx // want `the transaction is kept in a global variable`
}

func (s *store) begins() error {
	return s.pool.Update(ctx, func(tx *pmem.Tx) error {
		s.begin(tx)
		return nil
	})
}

func (s *store) within(r pmem.Ref[uint64]) error {
	return s.pool.Update(ctx, func(tx *pmem.Tx) error {
		v := view{tx, r}
		w := newView(tx, r)
		again := func() error { return use(tx, r) }
		if err := v.add(); err != nil {
			return err
		}
		if err := w.add(); err != nil {
			return err
		}
		tx.OnApply(func() {})
		defer use(tx, r)
		return again()
	})
}

func newView(tx *pmem.Tx, r pmem.Ref[uint64]) *view { return &view{tx, r} }

func (v *view) add() error { return use(v.tx, v.r) }

func use(tx *pmem.Tx, r pmem.Ref[uint64]) error {
	n, err := pmem.Get(tx, r)
	if err != nil {
		return err
	}
	return pmem.Set(tx, r, n+1)
}
