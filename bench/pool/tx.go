package pool

import (
	"context"
	"fmt"

	"github.com/safevma/safevma/bench/measure"
	"github.com/safevma/safevma/pmem"
)

// These are those of c/pmemobj.c.
const (
	objects  = 1 << 16
	step     = 40503
	poolSize = 64 << 20
)

// object is what is changed.
type object [64]byte

func (o *object) touch(x uint64) {
	for i := 0; i < len(o); i += 8 {
		put8(o[i:], x)
	}
}

func put8(b []byte, x uint64) {
	_ = b[7]
	for i := range 8 {
		b[i] = byte(x >> (8 * i))
	}
}

// changer makes transactions that change objects. Its function is made once, as the
// program in C has its own.
type changer struct {
	pool  *pmem.Pool
	refs  []pmem.Ref[object]
	lines uint64
	at    uint64
	value object
	all   func(*pmem.Tx) error
}

func newChanger(p *pmem.Pool, lines int) (*changer, error) {
	c := &changer{pool: p, lines: uint64(lines)}
	c.all = func(tx *pmem.Tx) error {
		for k := range c.lines {
			if err := pmem.Set(tx, c.refs[(c.at+k*step)%objects], c.value); err != nil {
				return err
			}
		}
		return nil
	}
	var err error
	c.refs, err = fill[object](p, objects)
	return c, err
}

func (c *changer) change(i int) error {
	c.at = measure.Mix(uint64(i))
	c.value.touch(uint64(i) + 1)
	return c.pool.Update(context.Background(), c.all)
}

func (c *changer) changes(n int) error {
	for i := range n {
		if err := c.change(i); err != nil {
			return err
		}
	}
	return nil
}

// Transactions measures transactions that change so many objects of 64 bytes each.
func Transactions(folder string, lines, ops int, o pmem.Options) (result Result, err error) {
	var last []pmem.Ref[object]
	err = within(folder, poolSize, o, func(p *pmem.Pool) error {
		c, err := newChanger(p, lines)
		if err == nil {
			err = c.changes(ops / 10)
		}
		if err != nil {
			return err
		}
		var clock measure.Clock
		clock.Start()
		if err := c.changes(ops); err != nil {
			return err
		}
		clock.Stop()
		result.Measures = append(result.Measures, clock.Measure("tx", ops))
		note, err := wraps(p, ops, func() error { return c.change(ops - 1) })
		result.Notes = append(result.Notes, note)
		for k := range c.lines {
			last = append(last, c.refs[(c.at+k*step)%objects])
		}
		return err
	})
	if err != nil {
		return result, err
	}
	var want object
	want.touch(uint64(ops))
	return result, again(folder, o, func(p *pmem.Pool) error { return hold(p, last, func(int) object { return want }) })
}

// hold says whether objects have the values that they should have.
func hold[T comparable](p *pmem.Pool, refs []pmem.Ref[T], want func(i int) T) error {
	return p.View(context.Background(), func(tx *pmem.Tx) error {
		for i, r := range refs {
			got, err := pmem.Get(tx, r)
			if err != nil {
				return fmt.Errorf("object %d of %d: %w", i, len(refs), err)
			}
			if got != want(i) {
				return fmt.Errorf("object %d of %d is not what was committed", i, len(refs))
			}
		}
		return nil
	})
}
