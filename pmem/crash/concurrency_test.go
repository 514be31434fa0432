package crash

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// counter is a model with one number.
type counter struct{ n uint64 }

func (c *counter) Clone() Model   { d := *c; return &d }
func (c *counter) String() string { return fmt.Sprintf("%d,%d", c.n, 10*c.n) }

// adders let goroutines count, each reading what another one made.
func adders(flaw string) Workload[*pair] {
	w := pairWorkload("")
	w.Model = &counter{}
	w.Run = func(o *Ops[*pair]) error {
		for range 2 {
			o.Go(func(o *Ops[*pair]) error {
				for range 2 {
					err := o.Apply("add", func(p *pair) (string, error) { return p.add(flaw) },
						func(m Model) string { c := m.(*counter); c.n++; return fmt.Sprint(c.n) })
					if err != nil {
						return err
					}
				}
				return nil
			})
		}
		return nil
	}
	return w
}

func (p *pair) add(flaw string) (string, error) {
	if flaw != "race" {
		p.lock.Lock()
		defer p.lock.Unlock()
	}
	a, _, err := p.get()
	if err != nil {
		return "", err
	}
	if flaw == "visible" { // seen by others before it is durable
		err = errors.Join(p.m.Store8(64, a+1, 1), p.m.Store8(128, 10*a+10, 1))
		p.lock.Unlock()
		err = errors.Join(err, p.m.Persist(64, 72))
		p.lock.Lock()
		return fmt.Sprint(a + 1), err
	}
	if flaw == "deadlock" {
		p.lock.Lock()
	}
	return fmt.Sprint(a + 1), p.update(a+1, 10*a+10)
}

func TestGoroutines(t *testing.T) {
	r, err := explore(t, Config{Models: adrOnly, Schedules: 30}, adders(""))
	if err != nil {
		t.Fatal(err)
	}
	if m := r.Models[0]; m.SchedulesTried != 30 || m.Schedules < 2 {
		t.Errorf("%d schedules of %d", m.Schedules, m.SchedulesTried)
	}
	if r.Verdict != "holds in the sample" {
		t.Errorf("%s: there are more schedules than 30", r.Verdict)
	}
	_, err = explore(t, Config{Models: adrOnly, Schedules: 30}, adders("race"))
	wantFailure(t, err, ErrOrder)
	_, err = explore(t, Config{Models: adrOnly, Schedules: 30}, adders("deadlock"))
	wantFailure(t, err, ErrDeadlock)
	_, err = explore(t, Config{Models: adrOnly, Schedules: 30}, adders("visible"))
	wantFailure(t, err, errState)
	w := adders("")
	w.Model = nil
	if _, err := explore(t, Config{Models: adrOnly}, w); err == nil {
		t.Error("operations that overlap, without a model")
	}
}

// The same seed makes the same trace.
func TestSeed(t *testing.T) {
	u, err := adders("").untyped()
	if err != nil {
		t.Fatal(err)
	}
	distinct := map[string]bool{}
	for seed := range uint64(5) {
		var last string
		for range 3 {
			tr, err := record(u, ADR, how{seed: seed})
			if err != nil {
				t.Fatal(err)
			}
			text := fmt.Sprint(plain(tr.events))
			if last != "" && text != last {
				t.Fatal("one seed, two traces")
			}
			last = text
		}
		distinct[last] = true
	}
	if len(distinct) < 2 {
		t.Error("all seeds make one trace")
	}
}

func TestPanicAndHang(t *testing.T) {
	w := pairWorkload("")
	open := w.Recover
	w.Recover = func(e *Env) (*pair, error) {
		if v, _ := e.Medium.Load8(64); v == 2 {
			var none []int
			_ = none[v]
		}
		return open(e)
	}
	_, err := explore(t, Config{Models: adrOnly}, w)
	wantFailure(t, err, errPanic)
	w.Recover = func(e *Env) (*pair, error) {
		for {
			if v, _ := e.Medium.Load8(64); v != 2 {
				return open(e)
			}
		}
	}
	_, err = explore(t, Config{Models: adrOnly}, w)
	wantFailure(t, err, ErrSteps)
}

// After a kill, recovery may show what a power failure then takes back.
func TestRestart(t *testing.T) {
	w := pairWorkload("")
	w.Run = func(o *Ops[*pair]) error {
		err := o.Do("set", func(p *pair) error { return p.set(1, 10) })
		return errors.Join(err, o.Relaxed("poke", func(p *pair) error { return p.m.Store8(64, 2, 1) }))
	}
	if _, err := explore(t, Config{Models: adrOnly}, w); err != nil {
		t.Error(err)
	}
	_, err := explore(t, Config{Models: adrOnly, Restart: true}, w)
	f := wantFailure(t, err, errState)
	if !strings.Contains(f.Moment, "it ended the process alone") {
		t.Errorf("who reads this does not know of the restart: %s", f.Moment)
	}
	for _, p := range f.Parts {
		for _, s := range slices.Concat(p.There, p.Lost) {
			if !strings.Contains(s, "crash/engine_test.go") && !strings.Contains(s, "crash/concurrency_test.go") {
				t.Errorf("no place: %s", s)
			}
		}
	}
	open := w.Recover
	w.Recover = func(e *Env) (*pair, error) { // what it shows it makes durable first
		p, err := open(e)
		if err == nil {
			err = p.m.Persist(0, 136)
		}
		return p, err
	}
	if _, err := explore(t, Config{Models: adrOnly, Restart: true}, w); err != nil {
		t.Error(err)
	}
}

// What a restarted recovery gets wrong is blamed on its own store.
func TestRestartBlame(t *testing.T) {
	w := pairWorkload("")
	open := w.Recover
	w.Recover = func(e *Env) (*pair, error) {
		p, err := open(e)
		if a, b, err := p.get(); err != nil || a != 1 || b != 10 {
			return p, err
		}
		return p, errors.Join(err, e.Medium.Store8(64, 0, 0), e.Medium.Persist(64, 8), e.Medium.Store8(64, 1, 0)) // in vain
	}
	_, err := explore(t, Config{Models: adrOnly, Restart: true, Shallow: true}, w)
	var places string
	for _, p := range wantFailure(t, err, errState).Parts {
		places += strings.Join(append(p.There, p.Lost...), "; ")
	}
	if !strings.Contains(places, "8 bytes at 64, crash/concurrency_test.go") {
		t.Errorf("blamed: %s", places)
	}
}

// A structure that is wrong without any failure is not explored: the end of a run is held
// against the model.
func TestWrongAtTheEnd(t *testing.T) {
	w := adders("")
	w.Run = func(o *Ops[*pair]) error {
		return o.Apply("add", func(p *pair) (string, error) { return "", p.set(1, 11) },
			func(m Model) string { m.(*counter).n++; return "" })
	}
	_, err := explore(t, Config{Models: adrOnly}, w)
	if f := wantFailure(t, err, ErrOrder); !strings.Contains(f.Message, "at the end") {
		t.Error(f.Message)
	}
}
