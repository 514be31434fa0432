package crash

import (
	"errors"
	"fmt"
	"hash/maphash"
	"testing"
)

// What was read decides what is legal: traces that store the same are not the same for that.
func TestSchedulesThatRead(t *testing.T) {
	u, err := peekers().untyped()
	if err != nil {
		t.Fatal(err)
	}
	type half struct{ stored, legal string }
	sums, stored, seed := map[half]uint64{}, map[string]string{}, maphash.MakeSeed()
	twins := 0
	for s := range uint64(200) {
		tr, err := record(u, ADR, how{seed: s})
		if err != nil {
			t.Fatal(err)
		}
		var h half
		for _, e := range tr.events {
			h.stored += fmt.Sprintln(e.Kind, e.Off, e.Len, e.Op, e.Thread, e.Data)
			if e.note != nil {
				h.legal += fmt.Sprintln(e.note.legal.dumps)
			}
		}
		if legal, known := stored[h.stored]; known && legal != h.legal {
			if twins++; sums[half{h.stored, legal}] == tr.sum(seed) {
				t.Fatalf("legal is\n%s and\n%s in what counts as one trace", legal, h.legal)
			}
		}
		stored[h.stored], sums[h] = h.legal, tr.sum(seed)
	}
	if twins == 0 {
		t.Error("no schedules differ in what was read alone: nothing is shown")
	}
}

// num is a model of the first word of a pair.
type num struct{ n uint64 }

func (c *num) Clone() Model   { d := *c; return &d }
func (c *num) String() string { return fmt.Sprintf("%d,0", c.n) }

// peekers let one goroutine read what another one stores.
func peekers() Workload[*pair] {
	w := pairWorkload("")
	w.Model = &num{}
	w.Run = func(o *Ops[*pair]) error {
		o.Go(func(o *Ops[*pair]) error {
			return o.Apply("set", func(p *pair) (string, error) {
				err := p.m.Store8(64, 1, 1)
				return "", errors.Join(err, p.m.Persist(64, 8))
			}, func(m Model) string { m.(*num).n = 1; return "" })
		})
		o.Go(func(o *Ops[*pair]) error {
			return o.Apply("get", func(p *pair) (string, error) {
				a, err := p.m.Load8(64)
				_, err2 := p.m.Load8(1024)
				return fmt.Sprint(a), errors.Join(err, err2)
			}, func(m Model) string { return fmt.Sprint(m.(*num).n) })
		})
		return nil
	}
	return w
}

// A dump that wants a lock waits for it, as anybody does.
func TestDumpUnderLock(t *testing.T) {
	w := pairWorkload("")
	inside := false
	w.Dump = func(p *pair) (string, error) {
		p.lock.Lock()
		defer p.lock.Unlock()
		if inside {
			return "", errors.New("two have the lock")
		}
		return p.dump()
	}
	run := w.Run
	w.Run = func(o *Ops[*pair]) error {
		o.Env.Medium.Go(func() {
			defer func() { inside = false }()
			for {
				o.S.lock.Lock()
				inside = true
				o.Env.Medium.Load8(2048)
				o.Env.Medium.Load8(2048)
				inside = false
				o.S.lock.Unlock()
			}
		})
		return run(o)
	}
	_, err := explore(t, Config{Models: adrOnly, Schedules: 10, Shallow: true}, w)
	if err != nil {
		t.Error(err)
	}
}
