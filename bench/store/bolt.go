package store

import (
	"path/filepath"

	"go.etcd.io/bbolt"
)

var bucket = []byte("b")

type bolt struct {
	db    *bbolt.DB
	write func(func(*bbolt.Tx) error) error
}

// openBolt: with several writers, Batch is its group commit. It goes as soon as all of them
// wait, which is the best that it can do.
func openBolt(folder string, writers int) (Store, error) {
	db, err := bbolt.Open(filepath.Join(folder, "db"), 0o600, nil)
	if err != nil {
		return nil, err
	}
	b := bolt{db, db.Update}
	if writers > 1 {
		db.MaxBatchSize = writers
		b.write = db.Batch
	}
	return b, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
}

func (b bolt) Put(key, value []byte) error {
	return b.write(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(key, value) })
}

func (b bolt) Count() (n int, err error) {
	err = b.db.View(func(tx *bbolt.Tx) error {
		n = tx.Bucket(bucket).Stats().KeyN
		return nil
	})
	return n, err
}

func (b bolt) Close() error { return b.db.Close() }
