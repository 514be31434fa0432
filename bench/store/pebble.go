package store

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

type pebbleStore struct{ *pebble.DB }

func openPebble(folder string, _ int) (Store, error) {
	db, err := pebble.Open(folder, &pebble.Options{Logger: quiet{}})
	return pebbleStore{db}, err
}

func (p pebbleStore) Put(key, value []byte) error { return p.Set(key, value, pebble.Sync) }

func (p pebbleStore) Count() (n int, err error) {
	all, err := p.NewIter(nil)
	if err != nil {
		return 0, err
	}
	for ok := all.First(); ok; ok = all.Next() {
		n++
	}
	return n, errors.Join(all.Error(), all.Close())
}

// quiet keeps Pebble's messages out of the table. A fatal one ends the process, as Pebble
// expects.
type quiet struct{}

func (quiet) Infof(string, ...any)              {}
func (quiet) Errorf(string, ...any)             {}
func (quiet) Fatalf(format string, args ...any) { pebble.DefaultLogger.Fatalf(format, args...) }
