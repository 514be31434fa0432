// Package store has the peers that are written in Go: stores of keys and values, each with
// durable commits, as their documentation says to open them for that.
package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

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
// all.
func Commits(open Open, folder string, writers, ops int) (measure.Measure, error) {
	s, err := open(folder, writers)
	if err != nil {
		return measure.Measure{}, err
	}
	m, err := Run("commit", writers, ops, func(_, i int) error { return put(s, i) })
	if err := errors.Join(err, s.Close()); err != nil {
		return measure.Measure{}, err
	}
	return m, verify(open, folder, writers, ops)
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
// are its number modulo writers.
func Run(name string, writers, ops int, do func(writer, i int) error) (measure.Measure, error) {
	var (
		group sync.WaitGroup
		clock measure.Clock
		errs  = make([]error, writers)
	)
	clock.Start()
	for w := range writers {
		group.Go(func() {
			for i := w; i < ops && errs[w] == nil; i += writers {
				errs[w] = do(w, i)
			}
		})
	}
	group.Wait()
	clock.Stop()
	return clock.Measure(name, ops), errors.Join(errs...)
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
