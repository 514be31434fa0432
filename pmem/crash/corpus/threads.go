package corpus

import (
	"fmt"

	"github.com/safevma/safevma/pmem/crash"
)

// number is the model of the cases with goroutines.
type number struct {
	n    uint64
	show func(n uint64) string
}

func (c *number) Clone() crash.Model { d := *c; return &d }
func (c *number) String() string     { return c.show(c.n) }

// goroutines run an operation each, so many times.
func goroutines(times int, do func(t *toy) string, effect func(*number) string, others ...func(*crash.Ops[*toy]) error) func(*crash.Ops[*toy]) error {
	return func(o *crash.Ops[*toy]) error {
		for _, other := range others {
			o.Go(other)
		}
		for range 2 - len(others) {
			o.Go(func(o *crash.Ops[*toy]) error { return apply(o, times, do, effect) })
		}
		return nil
	}
}

func apply(o *crash.Ops[*toy], times int, do func(t *toy) string, effect func(*number) string) error {
	for range times {
		err := o.Apply("operation", func(t *toy) (string, error) { s := do(t); return s, t.take() },
			func(m crash.Model) string { return effect(numberOf(m)) })
		if err != nil {
			return err
		}
	}
	return nil
}

func numberOf(m crash.Model) *number {
	if b, ok := m.(blind); ok {
		m = b.Model
	}
	n, _ := m.(*number)
	return n
}

func plain(n uint64) string { return fmt.Sprint("[", n, "]") }

func count(c *number) string { c.n++; return plain(c.n) }

var unlocked = Case{
	Class:       "lock released before the fence",
	Description: "A reader sees the number and is acknowledged; the number may still be lost.",
	Instance:    "RECIPE #13: readers return what is not durable.",
	Shows:       "[1]",
	Explore: toys(script{
		model: &number{show: plain},
		threads: goroutines(2, func(t *toy) string {
			t.lock.Lock()
			n := t.get(0) + 1
			t.put(0, n)
			if t.broken {
				t.lock.Unlock()
				t.persist(0, 8)
				return plain(n)
			}
			t.persist(0, 8)
			t.lock.Unlock() // mends it: after the fence
			return plain(n)
		}, count, func(o *crash.Ops[*toy]) error {
			return apply(o, 2, func(t *toy) string {
				t.lock.Lock()
				defer t.lock.Unlock()
				return plain(t.get(0))
			}, (*number).String)
		}),
		dump: func(t *toy) string { return plain(t.get(0)) },
	}),
}

var twoAppliers = Case{
	Class:       "two appliers on one bitmap word",
	Description: "Two goroutines each load the word, add to it and store it: what one added is gone.",
	Want:        crash.ErrOrder,
	Explore: toys(script{
		model: &number{show: plain},
		threads: goroutines(2, func(t *toy) string {
			if !t.broken {
				t.lock.Lock() // mends it
				defer t.lock.Unlock()
			}
			n := t.get(0)
			t.set(0, n<<1|1)
			return "set"
		}, func(c *number) string { c.n = c.n<<1 | 1; return "set" }),
		dump: func(t *toy) string { return plain(t.get(0)) },
	}),
}

var halfSeen = Case{
	Class:       "half an object seen beside a live writer",
	Description: "A reader loads two words while a writer is between them, and returns a pair that never was.",
	Want:        crash.ErrOrder,
	Explore: toys(script{
		model: &number{show: plain},
		threads: goroutines(3, func(t *toy) string {
			t.lock.Lock()
			defer t.lock.Unlock()
			n := t.get(64) + 1
			t.set(64, n)
			t.set(0, n)
			return plain(n)
		}, count, func(o *crash.Ops[*toy]) error {
			return apply(o, 3, func(t *toy) string {
				if !t.broken {
					t.lock.Lock() // mends it
					defer t.lock.Unlock()
				}
				return both(0, 64)(t)
			}, func(c *number) string { return fmt.Sprint(c.n, " ", c.n) })
		}),
		dump: func(t *toy) string { return plain(t.get(0)) },
	}),
}
