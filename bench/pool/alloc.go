package pool

import (
	"context"
	"errors"

	"github.com/safevma/safevma/bench/measure"
	"github.com/safevma/safevma/pmem"
)

// allocator makes transactions that allocate or free one object.
type allocator struct {
	pool        *pmem.Pool
	live        []pmem.Ref[object]
	at          int
	value       object
	alloc, free func(*pmem.Tx) error
}

func newAllocator(p *pmem.Pool, batch int) *allocator {
	a := &allocator{pool: p, live: make([]pmem.Ref[object], batch)}
	a.alloc = func(tx *pmem.Tx) (err error) {
		a.live[a.at], err = pmem.Alloc(tx, a.value)
		return err
	}
	a.free = func(tx *pmem.Tx) error { return pmem.Free(tx, a.live[a.at]) }
	return a
}

// each does the same with the place of each object.
func (a *allocator) each(fn func(*pmem.Tx) error) error {
	for a.at = range a.live {
		a.value.touch(uint64(a.at))
		if err := a.pool.Update(context.Background(), fn); err != nil {
			return err
		}
	}
	return nil
}

// Allocations measures transactions that allocate an object of 64 bytes, and then those that
// free it: batch of the one, batch of the other, until there are ops of each.
func Allocations(folder string, batch, ops int, o pmem.Options) (result Result, err error) {
	var left []pmem.Ref[object]
	err = within(folder, poolSize, o, func(p *pmem.Pool) error {
		a := newAllocator(p, batch)
		if err := errors.Join(a.each(a.alloc), a.each(a.free)); err != nil {
			return err
		}
		var allocs, frees measure.Clock
		done := 0
		for ; done < ops; done += batch {
			allocs.Start()
			if err := a.each(a.alloc); err != nil {
				return err
			}
			allocs.Stop()
			frees.Start()
			if err := a.each(a.free); err != nil {
				return err
			}
			frees.Stop()
		}
		left = a.live
		result.Measures = append(result.Measures, allocs.Measure("alloc", done), frees.Measure("free", done))
		note, err := wraps(p, done, func() error {
			a.at = 0
			return errors.Join(p.Update(context.Background(), a.alloc), p.Update(context.Background(), a.free))
		})
		result.Notes = append(result.Notes, note)
		return err
	})
	if err != nil {
		return result, err
	}
	return result, again(folder, o, func(p *pmem.Pool) error { return gone(p, left) })
}

var errLeft = errors.New("an object that was freed is still there")

// gone says whether objects are freed.
func gone(p *pmem.Pool, refs []pmem.Ref[object]) error {
	return p.View(context.Background(), func(tx *pmem.Tx) error {
		for _, r := range refs {
			if _, err := pmem.Get(tx, r); err == nil {
				return errLeft
			}
		}
		return nil
	})
}
