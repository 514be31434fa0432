// Package store has the peers that are written in Go: stores of keys and values, each with
// durable commits, as their documentation says to open them for that.
package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/safevma/safevma/bench/measure"
)

// Store is a peer. Put is safe for concurrent use, and durable when it returns.
type Store interface {
	Put(key, value []byte) error
	Count() (int, error)
	Close() error
}

// Open opens a peer in a folder, for so many writers.
type Open func(folder string, writers int) (Store, error)

// All are the peers by name.
var All = map[string]Open{"bbolt": openBolt, "pebble": openPebble, "badger": openBadger}

// Module is the module of each.
var Module = map[string]string{
	"bbolt": "go.etcd.io/bbolt", "pebble": "github.com/cockroachdb/pebble/v2", "badger": "github.com/dgraph-io/badger/v4",
}

const valueSize = 100

// Commits measures durable commits of one pair each: keys of 8 bytes in no order, all
// different, values of 100 bytes. Afterwards the store is opened again, and must have them
// all. The note has latencies.
func Commits(open Open, folder string, writers, ops int) (measure.Measure, string, error) {
	s, err := open(folder, writers)
	if err != nil {
		return measure.Measure{}, "", err
	}
	m, note, err := Run("commit", writers, ops, func(_, i int) error { return put(s, i) })
	if err := errors.Join(err, s.Close()); err != nil {
		return measure.Measure{}, "", err
	}
	return m, note, verify(open, folder, writers, ops)
}

func put(s Store, i int) error {
	var key [8]byte
	var value [valueSize]byte
	binary.LittleEndian.PutUint64(key[:], measure.Mix(uint64(i)))
	for k := range value {
		value[k] = byte(i)
	}
	return s.Put(key[:], value[:])
}

// Run measures ops operations, 0 to ops-1, shared out among writers: each has those that
// are its number modulo writers. The note has how long single operations took.
func Run(name string, writers, ops int, do func(writer, i int) error) (measure.Measure, string, error) {
	var (
		group sync.WaitGroup
		clock measure.Clock
		errs  = make([]error, writers)
		took  = make([]time.Duration, ops)
	)
	clock.Start()
	for w := range writers {
		group.Go(func() {
			for i := w; i < ops && errs[w] == nil; i += writers {
				start := time.Now()
				errs[w] = do(w, i)
				took[i] = time.Since(start)
			}
		})
	}
	group.Wait()
	clock.Stop()
	return clock.Measure(name, ops), latencies(took), errors.Join(errs...)
}

// latencies says what half of the operations, and all but a hundredth, took at most, and the
// slowest one.
func latencies(took []time.Duration) string {
	slices.Sort(took)
	us := func(i int) int64 { return took[i].Microseconds() }
	return fmt.Sprintf("half of the commits took up to %d µs, 99 %% up to %d µs, the slowest %d µs", us(len(took)/2), us(len(took)*99/100), us(len(took)-1))
}

func verify(open Open, folder string, writers, want int) error {
	s, err := open(folder, writers)
	if err != nil {
		return err
	}
	n, err := s.Count()
	if err == nil && n != want {
		err = fmt.Errorf("%d keys after opening again, want %d", n, want)
	}
	return errors.Join(err, s.Close())
}
