package crash

import (
	"fmt"
	"testing"

	"github.com/safevma/safevma/pmem/crash/state"
	"github.com/safevma/safevma/pmem/medium"
)

// cell is a word. A broken one takes the second sync that fails for a success.
type cell struct {
	m      *medium.Medium
	broken bool
	failed *int
}

func (c *cell) set(v uint64) error {
	err := c.m.StorePersist8(0, v, medium.Direct)
	if err != nil {
		if *c.failed++; c.broken && *c.failed == 2 {
			return nil
		}
	}
	return err
}

func cellWorkload(broken bool) Workload[*cell] {
	failed := new(int)
	recover := func(e *Env) (*cell, error) { // what is shown is durable
		v, err := e.Medium.Load8(0)
		if err == nil {
			err = e.Medium.StorePersist8(0, v, medium.Direct)
		}
		return &cell{e.Medium, broken, failed}, err
	}
	return Workload[*cell]{
		Size: 4096,
		Create: func(e *Env) (*cell, error) {
			*failed = 0
			return &cell{e.Medium, broken, failed}, nil
		},
		Recover: recover,
		Run: func(o *Ops[*cell]) error {
			for v := range uint64(3) {
				err := o.Do("set", func(c *cell) error { return c.set(v + 1) })
				for tries := 0; err != nil && tries < 3; tries++ {
					err = o.Reopen()
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
		Dump: func(c *cell) (string, error) {
			v, err := c.m.Load8(0)
			return fmt.Sprint(v), err
		},
	}
}

// Two syncs that fail in one run show what one does not.
func TestFailPairs(t *testing.T) {
	for _, pairs := range []bool{false, true} {
		cfg := Config{Models: []state.Model{PageCache}, FailSyncs: 100, FailPairs: pairs}
		r, err := explore(t, cfg, cellWorkload(false))
		if err != nil {
			t.Errorf("pairs %v: %v", pairs, err)
		}
		if n := r.Models[0].PairsFailed; (n > 5) != pairs {
			t.Errorf("pairs %v: %d of them failed", pairs, n)
		}
		if _, err = explore(t, cfg, cellWorkload(true)); (err != nil) != pairs {
			t.Errorf("broken, pairs %v: %v", pairs, err)
		} else if pairs {
			wantFailure(t, err, errState)
		}
	}
}
