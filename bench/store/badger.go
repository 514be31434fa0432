package store

import "github.com/dgraph-io/badger/v4"

type badgerStore struct{ *badger.DB }

func openBadger(folder string, _ int) (Store, error) {
	db, err := badger.Open(badger.DefaultOptions(folder).WithSyncWrites(true).WithLogger(nil))
	return badgerStore{db}, err
}

func (b badgerStore) Put(key, value []byte) error {
	return b.Update(func(tx *badger.Txn) error { return tx.Set(key, value) })
}

func (b badgerStore) Count() (n int, err error) {
	err = b.View(func(tx *badger.Txn) error {
		all := tx.NewIterator(badger.IteratorOptions{})
		defer all.Close()
		for all.Rewind(); all.Valid(); all.Next() {
			n++
		}
		return nil
	})
	return n, err
}
