package pool

import (
	"context"
	"fmt"

	"github.com/safevma/safevma/bench/measure"
	"github.com/safevma/safevma/bench/store"
	"github.com/safevma/safevma/pmem"
)

// table is a simple persistent hash table, made of what transactions offer: a fixed number of
// buckets, whose references stand in pages, whose references stand in the root. It is here
// until there are containers, so that a commit has an index to change as the peers' have.
type table struct {
	pool    *pmem.Pool
	buckets []pmem.Ref[bucket] // volatile, from the pages
}

const (
	pageCount   = 128
	pageLength  = 512
	bucketCount = pageCount * pageLength
	slots       = 7
	rootName    = "table"
)

type (
	root [pageCount]pmem.Ref[page]
	page [pageLength]pmem.Ref[bucket]

	bucket struct {
		Used   uint64
		Keys   [slots]uint64
		Values [slots]pmem.Ref[value]
		Next   pmem.Ref[bucket] // where one is full
	}
)

// newTable makes a table.
func newTable(p *pmem.Pool) (*table, error) {
	buckets, err := fill[bucket](p, bucketCount)
	if err != nil {
		return nil, err
	}
	var all root
	for i := range all {
		err := p.Update(context.Background(), func(tx *pmem.Tx) (err error) {
			all[i], err = pmem.Alloc(tx, page(buckets[i*pageLength:][:pageLength]))
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return &table{p, buckets}, p.Update(context.Background(), func(tx *pmem.Tx) error {
		r, err := pmem.Alloc(tx, all)
		if err != nil {
			return err
		}
		return pmem.SetRoot(tx, rootName, r)
	})
}

// openTable finds the table of a pool.
func openTable(p *pmem.Pool) (*table, error) {
	t := &table{pool: p}
	return t, p.View(context.Background(), func(tx *pmem.Tx) error {
		t.buckets = t.buckets[:0]
		r, err := pmem.Root[root](tx, rootName)
		if err != nil {
			return err
		}
		all, err := pmem.Get(tx, r)
		if err != nil {
			return err
		}
		for _, r := range all {
			some, err := pmem.Get(tx, r)
			if err != nil {
				return err
			}
			t.buckets = append(t.buckets, some[:]...)
		}
		return nil
	})
}

func (t *table) bucketOf(key uint64) pmem.Ref[bucket] { return t.buckets[measure.Mix(key)%bucketCount] }

// put is durable when it returns.
func (t *table) put(key uint64, v value) error {
	return t.pool.Update(context.Background(), func(tx *pmem.Tx) error {
		at := t.bucketOf(key)
		for {
			b, err := pmem.Get(tx, at)
			if err != nil {
				return err
			}
			for i := range b.Used {
				if b.Keys[i] == key {
					return pmem.Set(tx, b.Values[i], v)
				}
			}
			if b.Used < slots || b.Next.IsNil() {
				return add(tx, at, b, key, v)
			}
			at = b.Next
		}
	})
}

// add puts a new pair into the last bucket of a chain.
func add(tx *pmem.Tx, at pmem.Ref[bucket], b bucket, key uint64, v value) error {
	r, err := pmem.Alloc(tx, v)
	if err != nil {
		return err
	}
	if b.Used < slots {
		b.Keys[b.Used], b.Values[b.Used] = key, r
		b.Used++
		return pmem.Set(tx, at, b)
	}
	next := bucket{Used: 1}
	next.Keys[0], next.Values[0] = key, r
	if b.Next, err = pmem.Alloc(tx, next); err != nil {
		return err
	}
	return pmem.Set(tx, at, b)
}

// get returns the value of a key.
func (t *table) get(key uint64) (v value, ok bool, err error) {
	err = t.pool.View(context.Background(), func(tx *pmem.Tx) error {
		ok = false
		for at := t.bucketOf(key); !at.IsNil(); {
			b, err := pmem.Get(tx, at)
			if err != nil {
				return err
			}
			for i := range b.Used {
				if b.Keys[i] == key {
					ok = true
					v, err = pmem.Get(tx, b.Values[i])
					return err
				}
			}
			at = b.Next
		}
		return nil
	})
	return v, ok, err
}

// Buckets measures durable transactions that put a key and its value into a table, as the
// stores do.
func Buckets(folder string, writers, ops int, o pmem.Options) (result Result, err error) {
	err = within(folder, diskSize, o, func(p *pmem.Pool) error {
		t, err := newTable(p)
		if err != nil {
			return err
		}
		put := func(_, i int) error { return t.put(measure.Mix(uint64(i)), valueOf(i)) }
		m, took, err := store.Run("commit", writers, ops, put)
		if err != nil {
			return err
		}
		result.Measures = append(result.Measures, m)
		note, err := wraps(p, ops, func() error { return put(0, ops) })
		result.Notes = append(result.Notes, note+"; "+took)
		return err
	})
	if err != nil {
		return result, err
	}
	return result, again(folder, o, func(p *pmem.Pool) error { return hasAll(p, ops+1) })
}

// hasAll says whether a table has the pairs that were put.
func hasAll(p *pmem.Pool, n int) error {
	t, err := openTable(p)
	if err != nil {
		return err
	}
	for i := range n {
		v, ok, err := t.get(measure.Mix(uint64(i)))
		if err != nil {
			return err
		}
		if !ok || v != valueOf(i) {
			return fmt.Errorf("key %d of %d is not what was committed", i, n)
		}
	}
	return nil
}
