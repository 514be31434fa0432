package workload

import (
	"context"
	"errors"
	"fmt"

	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/crash"
)

// counter is what the pool of the concurrent workload should be: the first byte of a drawer.
type counter struct{ v uint64 }

func (c *counter) Clone() crash.Model { d := *c; return &d }
func (c *counter) String() string     { return fmt.Sprint(c.v) }

// concurrent has two goroutines that add to a word, and one that reads it.
func concurrent() Workload {
	w := pools(small, put(0, word(0)), func(o *ops) error {
		for range 2 {
			o.Go(func(o *ops) error {
				return unlessPoisoned(o.Apply("add", add, func(m crash.Model) string { return addModel(m, 1) }))
			})
		}
		o.Go(func(o *ops) error {
			return unlessPoisoned(o.Apply("read", read, func(m crash.Model) string { return addModel(m, 0) }))
		})
		return nil
	})
	w.Dump = read
	w.Model = &counter{}
	return Workload{
		Name: "concurrent", About: "two transactions that add to one word, and one that reads it, each in a goroutine of its own",
		Crash: w, Config: crash.Config{Models: append(cpu[:3:3], disk...), Schedules: 40, Recoveries: 1 << 20},
	}
}

// unlessPoisoned passes on what is no consequence of a failed sync.
func unlessPoisoned(err error) error {
	if errors.Is(err, pmem.ErrPoisoned) {
		return nil
	}
	return err
}

func addModel(m crash.Model, n uint64) string {
	c, ok := m.(*counter)
	if !ok {
		return "no counter"
	}
	c.v += n
	return c.String()
}

func value(tx *pmem.Tx) (pmem.Ref[pmem.Bytes], [8]byte, error) {
	var b [8]byte
	_, d, err := theDesk(tx)
	if err == nil {
		err = pmem.ReadBytes(tx, d.Drawers[0], 0, b[:])
	}
	return d.Drawers[0], b, err
}

func add(p *pmem.Pool) (result string, err error) {
	err = update(p, func(tx *pmem.Tx) error {
		r, b, err := value(tx)
		if err != nil {
			return err
		}
		b[0]++
		result = fmt.Sprint(b[0])
		return pmem.SetBytes(tx, r, 0, b[:])
	})
	return result, err
}

func read(p *pmem.Pool) (result string, err error) {
	err = p.View(context.Background(), func(tx *pmem.Tx) error {
		_, b, err := value(tx)
		result = fmt.Sprint(b[0])
		return err
	})
	return result, err
}
