// Package workload runs random transactions on a store from many goroutines, and records
// them as a history that can be checked. A store is anything with transactions: a test
// makes an adapter of a few lines.
package workload

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"

	"github.com/safevma/safevma/internal/history"
)

// Tx is a transaction on registers, numbered from 0. A register that was never set holds 0.
type Tx interface {
	Get(key int) (uint64, error)
	Set(key int, value uint64) error
}

// Store is what is tested. Its functions are called from many goroutines at once, and may
// run fn several times. An error of fn must abort the transaction and come back, maybe
// wrapped.
type Store interface {
	Update(fn func(Tx) error) error
	View(fn func(Tx) error) error
}

// ListTx is a transaction on lists, numbered from 0. A list that was never appended to is
// empty. What Read returns is not used after the transaction.
type ListTx interface {
	Read(key int) ([]uint64, error)
	Append(key int, value uint64) error
}

// ListStore is like Store, for lists.
type ListStore interface {
	Update(fn func(ListTx) error) error
	View(fn func(ListTx) error) error
}

// Config says what is run: New has one. With the seed each goroutine draws the same
// operations again where the store answers the same; which of them meet is the scheduler's.
type Config struct {
	Seed         uint64
	Goroutines   int
	Keys         int
	Transactions int // of each goroutine
	Operations   int // of a transaction, at most; a write of a register is a read and a write
	Views        int // percent of transactions that only read
	Writes       int // percent of the operations of an update
	Aborts       int // percent of updates that abort themselves at the end
	Yields       int // percent of operations after which another goroutine may run
	Rotate       int // a goroutine goes on to other keys after so many transactions, so that lists stay short; 0 is never

	// Unknown says that after this error of the store a transaction may or may not have
	// taken effect. nil: there are none such.
	Unknown func(error) bool
}

// New returns a configuration that finds most faults soon.
func New(seed uint64) Config {
	return Config{Seed: seed, Goroutines: 8, Keys: 6, Transactions: 500, Operations: 6, Views: 30, Writes: 50, Aborts: 5, Yields: 30}
}

func (c Config) String() string {
	return fmt.Sprintf("seed %d: %d goroutines x %d transactions of up to %d operations on %d keys, "+
		"%d%% views, %d%% writes, %d%% aborts, %d%% yields",
		c.Seed, c.Goroutines, c.Transactions, c.Operations, c.Keys, c.Views, c.Writes, c.Aborts, c.Yields)
}

// errAborted is why a transaction of the workload aborts itself.
var errAborted = errors.New("workload: aborted on purpose")

// Run runs the workload on registers. An error of the store that is neither the
// workload's own nor Unknown ends it.
func Run(c Config, s Store) (history.History, error) {
	return c.run(func(w *worker) func(view bool) error {
		return func(view bool) error {
			fn := func(tx Tx) error { return w.registers(tx, view) }
			if view {
				return s.View(fn)
			}
			return s.Update(fn)
		}
	})
}

// RunLists runs the workload on lists.
func RunLists(c Config, s ListStore) (history.History, error) {
	return c.run(func(w *worker) func(view bool) error {
		return func(view bool) error {
			fn := func(tx ListTx) error { return w.lists(tx, view) }
			if view {
				return s.View(fn)
			}
			return s.Update(fn)
		}
	})
}

// run starts the goroutines. call makes for each what runs one transaction.
func (c Config) run(call func(*worker) func(view bool) error) (history.History, error) {
	var recorder history.Recorder
	var wait sync.WaitGroup
	errs := make([]error, c.Goroutines)
	for i := range c.Goroutines {
		w := &worker{Config: c, Session: recorder.Session(), random: rand.New(rand.NewPCG(c.Seed, uint64(i)))}
		wait.Go(func() { errs[i] = w.run(call(w)) })
	}
	wait.Wait()
	return recorder.History(), errors.Join(errs...)
}

type worker struct {
	Config
	*history.Session
	random *rand.Rand
	turn   int // transactions so far
}

func (w *worker) run(transaction func(view bool) error) error {
	for w.turn = range w.Transactions {
		view := w.percent(w.Views)
		w.Begin()
		err := transaction(view)
		switch {
		case err == nil:
			w.End(history.Committed)
		case errors.Is(err, errAborted):
			w.End(history.Aborted)
		case w.Unknown != nil && w.Unknown(err):
			w.End(history.Unknown)
		default:
			w.End(history.Aborted)
			return fmt.Errorf("transaction %d of a goroutine: %w", w.turn, err)
		}
	}
	return nil
}

func (w *worker) percent(n int) bool { return w.random.IntN(100) < n }

func (w *worker) yield() {
	if w.percent(w.Yields) {
		runtime.Gosched()
	}
}

// key picks a key.
func (w *worker) key() int {
	key := w.random.IntN(w.Keys)
	if w.Rotate > 0 {
		key += w.turn / w.Rotate * w.Keys
	}
	return key
}

func (w *worker) registers(tx Tx, view bool) error {
	w.Attempt()
	for range 1 + w.random.IntN(w.Operations) {
		key := w.key()
		value, err := tx.Get(key)
		if err != nil {
			return err
		}
		w.Read(uint64(key), value)
		w.yield()
		if view || !w.percent(w.Writes) {
			continue
		}
		value = w.Value()
		w.Write(uint64(key), value)
		if err := tx.Set(key, value); err != nil {
			return err
		}
		w.yield()
	}
	return w.end(view)
}

func (w *worker) lists(tx ListTx, view bool) error {
	w.Attempt()
	for range 1 + w.random.IntN(w.Operations) {
		key := w.key()
		if !view && w.percent(w.Writes) {
			value := w.Value()
			w.Append(uint64(key), value)
			if err := tx.Append(key, value); err != nil {
				return err
			}
		} else {
			list, err := tx.Read(key)
			if err != nil {
				return err
			}
			w.ReadList(uint64(key), list)
		}
		w.yield()
	}
	return w.end(view)
}

func (w *worker) end(view bool) error {
	if !view && w.percent(w.Aborts) {
		return errAborted
	}
	return nil
}
