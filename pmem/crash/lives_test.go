package crash

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/safevma/safevma/pmem/crash/state"
	"github.com/safevma/safevma/pmem/medium"
)

// sum is a number and a log of what is to be added to it.
//
//	0, 64  base, and the generation that has it: the higher one counts
//	128    records of 64 bytes: value, the sum of value and place, the generation
type sum struct {
	m    *medium.Medium
	gen  uint64
	base uint64
	n    uint64
	add  uint64 // of the records
	flaw bool   // the log is emptied by its first record, and the generation stays
}

func openSum(m *medium.Medium, flaw bool) (*sum, error) {
	s := &sum{m: m, flaw: flaw}
	for slot := int64(0); slot <= 64; slot += 64 {
		base, err := m.Load8(slot)
		gen, err2 := m.Load8(slot + 8)
		if err := errors.Join(err, err2); err != nil {
			return nil, err
		}
		if gen > s.gen || slot == 0 {
			s.base, s.gen = base, gen
		}
	}
	for ; ; s.n++ {
		v, ok, err := s.record(s.n)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		s.add += v
	}
	if s.n == 0 {
		return s, nil
	}
	return s, s.empty()
}

func (s *sum) record(i uint64) (v uint64, ok bool, err error) {
	var w [3]uint64
	for j := range w {
		if w[j], err = s.m.Load8(128 + int64(i)*64 + int64(j)*8); err != nil {
			return 0, false, err
		}
	}
	return w[0], w[0] != 0 && w[1] == w[0]+i+1 && w[2] == s.gen, nil
}

// empty takes the records into the base.
func (s *sum) empty() error {
	next := s.gen + 1
	slot := int64(next % 2 * 64)
	err := errors.Join(s.m.Store8(slot, s.base+s.add, 0), s.m.StorePersist8(slot+8, next, 0))
	if s.flaw { // "the log is read until its first invalid record, so one is enough"
		slot = int64(s.gen % 2 * 64)
		err = errors.Join(s.m.Store8(128, 0, 0), s.m.Store8(slot, s.base+s.add, 0), s.m.PersistAll([]medium.Extent{{Off: 128, Len: 8}, {Off: slot, Len: 8}}))
		next = s.gen
	}
	s.gen, s.base, s.n, s.add = next, s.base+s.add, 0, 0
	return err
}

func (s *sum) push(v uint64) error {
	at := 128 + int64(s.n)*64
	err := errors.Join(s.m.Store8(at, v, 0), s.m.Store8(at+8, v+s.n+1, 0), s.m.Store8(at+16, s.gen, 0), s.m.Persist(at, 24))
	s.n++
	s.add += v
	return err
}

func (s *sum) dump() (string, error) { return fmt.Sprint(s.base + s.add), nil }

func sumWorkload(flaw bool) Workload[*sum] {
	open := func(e *Env) (*sum, error) { return openSum(e.Medium, flaw) }
	push := func(values ...uint64) func(o *Ops[*sum]) error {
		return func(o *Ops[*sum]) error {
			var err error
			for _, v := range values {
				err = errors.Join(err, o.Do(fmt.Sprint("push ", v), func(s *sum) error { return s.push(v) }))
			}
			return err
		}
	}
	return Workload[*sum]{Size: 4096, Create: open, Recover: open, Dump: (*sum).dump, Run: push(1, 2, 4), Resume: push(8)}
}

// What recovery leaves behind may hurt the next life.
func TestLives(t *testing.T) {
	r, err := explore(t, Config{Models: adrOnly, Lives: 1000}, sumWorkload(false))
	if err != nil {
		t.Fatal(err)
	}
	if m := r.Models[0]; m.Lives < 10 || m.Lives != m.LivesFound || !m.Complete() {
		t.Errorf("%d lives of %d", m.Lives, m.LivesFound)
	}
	r, err = explore(t, Config{Models: adrOnly, Lives: 5}, sumWorkload(false))
	if err != nil || r.Models[0].Lives != 5 || r.Models[0].Complete() {
		t.Errorf("a sample: %v", err)
	}
	w := sumWorkload(true)
	_, err = explore(t, Config{Models: adrOnly, Shallow: true}, w) // two crashes find another flaw of it
	if f := wantFailure(t, err, errState); !strings.Contains(f.Moment, "in the life after a crash") {
		t.Error(f.Moment)
	}
	w.Resume = nil
	if _, err := explore(t, Config{Models: adrOnly, Shallow: true}, w); err != nil {
		t.Errorf("one life shows it, so that the test says nothing of two: %v", err)
	}
}

// What recovery did not read is there in one life, and in another one not: here a record behind
// a torn one, which the next life makes a valid one again.
func TestLivesWithLeftovers(t *testing.T) {
	w := sumWorkload(false)
	w.Run = func(o *Ops[*sum]) error {
		for i := range uint64(2) {
			err := o.Relaxed("leave", func(s *sum) error {
				at := 128 + int64(s.n)*64
				s.n, s.add = s.n+1, s.add+i+1
				return errors.Join(s.m.Store8(at, i+1, 0), s.m.Store8(at+8, 2*i+2, 0))
			})
			if err != nil {
				return err
			}
		}
		return o.Do("push 4", func(s *sum) error { return errors.Join(s.push(4), s.m.Persist(128, 3*64)) })
	}
	_, err := explore(t, Config{Models: adrOnly, Lives: 1000}, w)
	f := wantFailure(t, err, errState)
	if !strings.Contains(f.Moment, "in the life after a crash") {
		t.Error(f.Moment)
	}
}

// What recovery does not look at may hurt the next life, if it is there: here some of it, and not
// all.
func TestLivesOfOneOutcome(t *testing.T) {
	open := func(e *Env) (*medium.Medium, error) { return e.Medium, nil }
	word := func(off int64) func(*medium.Medium) error {
		return func(m *medium.Medium) error { return m.StorePersist8(off, 1, 0) }
	}
	w := Workload[*medium.Medium]{
		Size: 4096, Create: open, Recover: open,
		Dump: func(m *medium.Medium) (string, error) { v, err := m.Load8(0); return fmt.Sprint(v), err },
		Run: func(o *Ops[*medium.Medium]) error {
			// The residue, of two words, is never flushed.
			return errors.Join(o.S.Store8(64, 1, 0), o.S.Store8(192, 1, 0), o.Do("set", word(0)))
		},
		Resume: func(o *Ops[*medium.Medium]) error { return o.Do("take over", word(128)) },
		Check: func(m *medium.Medium) error {
			if v, err := m.Load8(128); v == 0 || err != nil {
				return err
			}
			one, err := m.Load8(64)
			other, err2 := m.Load8(192)
			if one != other {
				return errors.New("half of the residue was taken over")
			}
			return errors.Join(err, err2)
		},
	}
	_, err := explore(t, Config{Models: adrOnly}, w)
	var f *Failure
	if !errors.As(err, &f) || !strings.Contains(f.Moment, "in the life after a crash") {
		t.Errorf("not caught: %v", err)
	}
}

// What a sync that failed left is lived on too: those lives are more than where none failed.
func TestMoreLivesAfterFailedSyncs(t *testing.T) {
	cfg := Config{Models: []state.Model{PageCache}, Lives: 1000, Shallow: true}
	w := sumWorkload(false)
	w.Run = func(o *Ops[*sum]) error { // after a failed sync nothing is acknowledged
		for _, v := range []uint64{1, 2} {
			if err := o.Do(fmt.Sprint("push ", v), func(s *sum) error { return s.push(v) }); err != nil {
				return err
			}
		}
		return nil
	}
	whole, err := explore(t, cfg, w)
	if err != nil {
		t.Fatal(err)
	}
	cfg.FailSyncs = 100
	r, err := explore(t, cfg, w)
	if err != nil {
		t.Fatal(err)
	}
	if m := r.Models[0]; m.SyncsFailed == 0 || m.Lives <= whole.Models[0].Lives || m.Lives != m.LivesFound || !m.Complete() {
		t.Errorf("%d syncs failed, %d lives of %d, %d where none failed", m.SyncsFailed, m.Lives, m.LivesFound, whole.Models[0].Lives)
	}
}

// What a failed sync leaves is lived on as well.
func TestLivesAfterFailedSyncs(t *testing.T) {
	w := stackWorkload("")
	w.Resume = func(o *Ops[*stack]) error {
		return o.Do("push", func(s *stack) error { return s.push(7) })
	}
	r, err := explore(t, Config{Models: []state.Model{PageCache}, FailSyncs: 100, Lives: 1 << 20}, w)
	if err != nil {
		t.Fatal(err)
	}
	if m := r.Models[0]; m.Lives != m.LivesFound || m.SyncsFailed == 0 || !m.Complete() {
		t.Errorf("%d of %d lives", m.Lives, m.LivesFound)
	}
}

// So may what a restart leaves behind.
func TestReopen(t *testing.T) {
	for _, flaw := range []bool{false, true} {
		w := sumWorkload(flaw)
		w.Resume = nil
		run := w.Run
		w.Run = func(o *Ops[*sum]) error {
			return errors.Join(run(o), o.Reopen(), o.Do("push 8", func(s *sum) error { return s.push(8) }))
		}
		_, err := explore(t, Config{Models: adrOnly, Shallow: true}, w)
		if !flaw && err != nil {
			t.Error(err)
		}
		if flaw {
			wantFailure(t, err, errState)
		}
	}
	w := sumWorkload(false)
	w.Resume = nil
	w.Recover = func(e *Env) (*sum, error) {
		s, err := openSum(e.Medium, false)
		if err == nil && s.base == 0 {
			s.base = 5
		}
		return s, err
	}
	w.Run = func(o *Ops[*sum]) error { return o.Reopen() }
	if _, err := explore(t, Config{Models: adrOnly}, w); !errors.Is(err, errReopened) {
		t.Errorf("reopening that changes the state: %v", err)
	}
}

// After a failed sync reopening says what took effect, and may fail itself.
func TestReopenAfterFailedSync(t *testing.T) {
	type word struct {
		m *medium.Medium
		v uint64 // as far as the process knows
	}
	w := Workload[*word]{
		Size:   4096,
		Create: func(e *Env) (*word, error) { return &word{m: e.Medium}, nil },
		Recover: func(e *Env) (*word, error) { // what is read is not believed: it is stored again
			v, err := e.Medium.Load8(0)
			if err = errors.Join(err, e.Medium.StorePersist8(0, v, 0)); err != nil {
				return nil, err
			}
			return &word{e.Medium, v}, nil
		},
		Dump: func(w *word) (string, error) { return fmt.Sprint(w.v), nil },
		Run: func(o *Ops[*word]) error {
			for _, v := range []uint64{1, 2} {
				err := o.Do(fmt.Sprint("set ", v), func(w *word) error {
					err := w.m.StorePersist8(0, v, 0)
					if err == nil {
						w.v = v
					}
					return err
				})
				for tries := 0; tries == 0 || errors.Is(err, medium.ErrSync) && tries < 3; tries++ {
					err = o.Reopen()
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	r, err := explore(t, Config{Models: []state.Model{PageCache}, FailSyncs: 100}, w)
	if err != nil {
		t.Fatal(err)
	}
	if m := r.Models[0]; m.SyncsFailed != 4 || !m.Complete() {
		t.Errorf("%d syncs failed", m.SyncsFailed)
	}
}

// A pointer, a time, randomness: what is no content, and differs from run to run.
func TestVolatile(t *testing.T) {
	w := sumWorkload(false)
	run := w.Run
	w.Run = func(o *Ops[*sum]) error {
		return errors.Join(run(o), o.S.m.StorePersist8(2048, uint64(time.Now().UnixNano()), 0))
	}
	r, err := explore(t, Config{Models: adrOnly, Shallow: true}, w)
	if err != nil {
		t.Fatal(err)
	}
	if l := r.Models[0].Lints; len(l) != 1 || l[0].Kind != LintVolatile || !strings.HasPrefix(l[0].Place, "crash/lives_test.go:") {
		t.Errorf("%v", l)
	}
	_, err = explore(t, Config{Models: adrOnly, Shallow: true, StrictLints: true}, w)
	wantFailure(t, err, ErrLint)
}
