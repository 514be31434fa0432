package corpus

import (
	"errors"
	"fmt"

	"github.com/safevma/safevma/pmem/crash"
	"github.com/safevma/safevma/pmem/crash/state"
	"github.com/safevma/safevma/pmem/medium"
)

// cell is a value of three words that a link makes valid: the least structure with an order to
// keep. A new value goes to the other of two places, and the link, one word, changes over.
//
//	0     link: offset of the valid value, 0 for none
//	64    value, 3 words; 128 is another line
//	192   value, 3 words
type cell struct {
	m *medium.Medium
	// write makes a value durable before it is linked, and link the link: what the cases vary.
	write, link func(m *medium.Medium, off int64) error
	// linkFirst turns the order around.
	linkFirst bool
}

// none leaves it out.
func none(*medium.Medium, int64) error { return nil }

// persist is what is right.
func persist(n int64) func(*medium.Medium, int64) error {
	return func(m *medium.Medium, off int64) error { return m.Persist(off, n) }
}

func (c *cell) set(v uint64) error {
	at, err := c.m.Load8(0)
	if err != nil {
		return err
	}
	next := int64(64)
	if at == 64 {
		next = 192
	}
	value := func() error {
		// The last word stands in the next line.
		return errors.Join(c.m.Store8(next, v, 0), c.m.Store8(next+8, v, 0), c.m.Store8(next+64, v, 0), c.write(c.m, next))
	}
	link := func() error { return errors.Join(c.m.Store8(0, uint64(next), 0), c.link(c.m, 0)) }
	if c.linkFirst {
		return errors.Join(link(), value())
	}
	return errors.Join(value(), link())
}

func (c *cell) get() (string, error) {
	at, err := c.m.Load8(0)
	if err != nil || at == 0 {
		return "none", err
	}
	var words [3]uint64
	for i, off := range []int64{0, 8, 64} {
		if words[i], err = c.m.Load8(int64(at) + off); err != nil {
			return "", err
		}
	}
	return fmt.Sprint(words), nil
}

// cellWorkload sets a cell three times.
func cellWorkload(variant cell) crash.Workload[*cell] {
	open := func(e *crash.Env) (*cell, error) {
		c := variant
		c.m = e.Medium
		return &c, nil
	}
	return crash.Workload[*cell]{
		Size: 4096, Create: open, Recover: open, Dump: (*cell).get,
		Run: func(o *crash.Ops[*cell]) error {
			for v := range uint64(3) {
				if err := o.Do(fmt.Sprint("set ", v+1), func(c *cell) error { return c.set(v + 1) }); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// cells makes the workloads of a case from its two variants.
func cells(broken, right cell) func(bool) crash.Workload[*cell] {
	return func(b bool) crash.Workload[*cell] {
		if b {
			return cellWorkload(broken)
		}
		return cellWorkload(right)
	}
}

var (
	right = cell{write: persist(72), link: persist(8)}
	all   = []state.Model{crash.Kill, crash.EADR, crash.PageCache, crash.PageCacheTorn}
)

var missingFlush = Case{
	Class:       "missing flush",
	Description: "The value is stored but not flushed before it is linked: the link may be durable, and the value not.",
	Model:       crash.ADR, Also: all,
	Shows:   "[1 1 0]",
	Explore: explore(cells(cell{write: none, link: persist(8)}, right)),
}

var missingFence = Case{
	Class:       "missing fence",
	Description: "Value and link are flushed, and one fence waits for both: nothing keeps the link from being durable first.",
	Model:       crash.ADR, Also: all,
	Shows: "[1 1 0]",
	Explore: explore(cells(
		cell{
			write: none,
			link: func(m *medium.Medium, off int64) error {
				return m.PersistAll([]medium.Extent{{Off: 64, Len: 256}, {Off: off, Len: 8}})
			},
		}, right)),
}

var wrongOrder = Case{
	Class:       "wrong order across lines",
	Description: "The link is stored and made durable before the value is.",
	Model:       crash.ADR, Also: all,
	Shows:   "[0 0 0]",
	Explore: explore(cells(cell{write: persist(72), link: persist(8), linkFirst: true}, right)),
}

var partialFlush = Case{
	Class:       "flush of the wrong or a partial range",
	Description: "The flush covers the first line of a value that ends in the second.",
	Model:       crash.ADR, Also: all,
	Shows:   "[1 1 0]",
	Explore: explore(cells(cell{write: persist(24), link: persist(8)}, right)),
}

var waste = Case{
	Class:       "redundant flush",
	Description: "The value is flushed twice before the fence: no state is wrong for it, it costs time. A lint.",
	Model:       crash.ADR, Lint: crash.LintRedundantFlush,
	Explore: explore(cells(
		cell{
			write: func(m *medium.Medium, off int64) error {
				return m.PersistAll([]medium.Extent{{Off: off, Len: 72}, {Off: off, Len: 72}})
			},
			link: persist(8),
		}, right)),
}

var wasteClean = Case{
	Class:       "redundant flush of a clean line",
	Description: "What is durable already is made durable again. A lint.",
	Instance:    "Agamotto's clean_flush.",
	Model:       crash.ADR, Lint: crash.LintCleanFlush,
	Explore: explore(cells(
		cell{
			write: persist(72),
			link: func(m *medium.Medium, off int64) error {
				return errors.Join(m.Persist(off, 8), m.Persist(off, 8))
			},
		}, right)),
}

var wasteFence = Case{
	Class:       "redundant fence",
	Description: "A fence with nothing to wait for. A lint.",
	Model:       crash.ADR, Lint: crash.LintIdleFence,
	Explore: explore(cells(
		cell{
			write: persist(72),
			link: func(m *medium.Medium, off int64) error {
				t := m.Pin()
				defer t.Unpin()
				return errors.Join(t.Flush(off, 8), t.Fence(), t.Fence())
			},
		}, right)),
}
