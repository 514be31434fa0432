// Package pmem is persistent memory in pools that survive crashes: transactions that are whole
// or absent after a failure and isolated from each other, and objects of plain Go types that
// can't leak.
//
//	pool, err := pmem.Open("accounts.pool", pmem.Options{})
//	...
//	err = pool.Update(ctx, func(tx *pmem.Tx) error {
//		a, err := pmem.Get(tx, ref) // a copy, validated
//		if err != nil {
//			return err
//		}
//		a.Balance -= 10
//		return pmem.Set(tx, ref, a) // buffered, nothing changes before the commit
//	})
//
// A pool is one file: on persistent memory (DAX), on an ordinary file system, or in memory; see
// package medium for what survives what. Its format is docs/formats/pool.md, its protocol
// docs/pmem/protocol.md, whose rules R1 to R7 are named where the code keeps them.
//
// # Transactions
//
// Update and View work from any goroutine. They are serialisable: each sees the pool as if it
// ran alone, and what it has read does not change before it commits. A function that meets a
// conflict is run again, so it has no effects of its own but on the pool; what has to happen
// once, after the commit, is given to [Tx.OnApply]. When Update returns nil, the transaction is
// durable, as far as the medium keeps anything. When it returns [ErrOutcomeUnknown], a sync
// failed: the transaction is durable or absent, the pool takes no further ones, and opening it
// again shows which.
//
// # How it works
//
// A transaction collects its changes in one record, which the commit appends to the log with
// non-temporal stores and one fence, or with one synchronous write; allocations and frees travel
// in it as changes of bitmaps. Then the changes are put in place with plain stores, which become
// durable when the log is full: a checkpoint. One goroutine appends at a time, for all that wait.
//
// Isolation is that of TL2 (Dice, Shalev, Shavit, 2006): versioned locks on stripes of offsets,
// which live in volatile memory, and the log's sequence as the clock.
//
// Lock order: gate; registry.lock; stripes in ascending order; heap.lock; Pool.turn. Who holds the
// turn takes no stripe and not the heap. Pool.waiting comes before the turn where that is only
// tried, and after it where queued committers are woken.
package pmem
