package crash

import (
	"errors"
	"strings"
	"testing"

	"github.com/safevma/safevma/pmem/crash/state"
	"github.com/safevma/safevma/pmem/medium"
)

// stack grows a file by a page for each value that is pushed; the first word says how many.
type stack struct {
	m    *medium.Medium
	n    uint64
	flaw string
	dead bool // after a failed sync
}

var errNoFile = errors.New("no stack")

func (s *stack) push(v uint64) error {
	if s.dead {
		return medium.ErrSync
	}
	at := int64(s.n+1) * 4096
	err := s.m.Extend(at + 4096)
	if s.flaw != "size" {
		err = errors.Join(err, s.m.SyncFile())
	}
	err = errors.Join(err, s.m.Store8(at, v, medium.Direct), s.m.Persist(at, 8))
	if s.flaw == "retry" && errors.Is(err, medium.ErrSync) {
		err = s.m.Persist(at, 8) // which says nothing of what the first one lost
	}
	if err == nil || s.flaw == "ignore" {
		err = s.m.StorePersist8(0, s.n+1, medium.Superblock)
	}
	if s.dead = err != nil; !s.dead {
		s.n++
	}
	return err
}

func openStack(m *medium.Medium, flaw string) (*stack, error) {
	n, err := m.Load8(0)
	if err == nil && n > 1<<20 {
		err = errors.New("no number")
	}
	return &stack{m: m, n: n, flaw: flaw}, err
}

func (s *stack) dump() (string, error) {
	text := ""
	for i := range s.n {
		v, err := s.m.Load8(int64(i+1) * 4096)
		if err != nil {
			return "", err
		}
		text += string(rune('a' + v))
	}
	return text, nil
}

func stackWorkload(flaw string) Workload[*stack] {
	return Workload[*stack]{
		Size: 4096, Most: 6 * 4096,
		Create: func(e *Env) (*stack, error) {
			s, err := openStack(e.Medium, flaw)
			err = errors.Join(err, e.Medium.StorePersist8(8, 0x57ac, medium.Superblock), e.Medium.Link())
			switch flaw {
			case "name":
			case "name by its file":
				err = errors.Join(err, e.Medium.SyncFile())
			default:
				err = errors.Join(err, e.Medium.SyncDirectory())
			}
			return s, err
		},
		Recover: func(e *Env) (*stack, error) {
			if magic, err := e.Medium.Load8(8); err != nil || magic != 0x57ac {
				return nil, errors.Join(err, errNoFile)
			}
			return openStack(e.Medium, flaw)
		},
		Absent: func(err error) bool { return errors.Is(err, errNoFile) },
		Run: func(o *Ops[*stack]) error {
			for v := range uint64(4) {
				err := o.Do("push", func(s *stack) error { return s.push(v) })
				if err != nil && !errors.Is(err, medium.ErrSync) {
					return err
				}
			}
			return nil
		},
		Dump: (*stack).dump,
	}
}

// Size and name of a file are durable after their own syncs.
func TestFile(t *testing.T) {
	files := []state.Model{PageCache, PageCache4K, PageCacheTorn, KillFile, ADR, EADR, Kill}
	r, err := explore(t, Config{Models: files}, stackWorkload(""))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range r.Models {
		if !m.Complete() {
			t.Errorf("%v is not complete", m.Model)
		}
	}
	for _, model := range []state.Model{PageCache, ADR, EADR} {
		_, err = explore(t, Config{Models: []state.Model{model}}, stackWorkload("size"))
		wantFailure(t, err, medium.ErrRange)
	}
	for _, flaw := range []string{"name", "name by its file"} {
		_, err = explore(t, Config{Models: []state.Model{PageCache}}, stackWorkload(flaw))
		if f := wantFailure(t, err, errUnlinked); f.Operation != "create" {
			t.Errorf("in %s", f.Operation)
		}
	}
}

// A failed sync: who trusts the one after it, or goes on as if nothing were, is caught.
func TestFailedSync(t *testing.T) {
	cfg := Config{Models: []state.Model{PageCache}, FailSyncs: 100}
	r, err := explore(t, cfg, stackWorkload(""))
	if err != nil {
		t.Fatal(err)
	}
	if m := r.Models[0]; m.SyncsFailed != 14 || !m.Complete() || len(m.Lints) > 0 {
		t.Errorf("%d syncs failed", m.SyncsFailed)
	}
	for _, flaw := range []string{"retry", "ignore"} {
		_, err := explore(t, cfg, stackWorkload(flaw))
		t.Log(flaw)
		var f *Failure
		if !errors.As(err, &f) {
			t.Fatalf("not found: %v", err)
		}
		if !strings.Contains(f.Moment, "; the sync at crash/file_test.go:") {
			t.Errorf("which sync failed? %s", f.Moment)
		}
		if _, err = explore(t, Config{Models: cfg.Models}, stackWorkload(flaw)); err != nil {
			t.Errorf("%s shows without a failed sync: %v", flaw, err)
		}
	}
}

// Goroutines of recovery are ended with it, and one that waits for nobody is reported.
func TestRecoveryGoroutines(t *testing.T) {
	w := pairWorkload("")
	open := w.Recover
	w.Recover = func(e *Env) (*pair, error) {
		done := false
		lock := e.Medium.NewMutex()
		cond := medium.NewCond(lock)
		e.Medium.Go(func() {
			lock.Lock()
			defer lock.Unlock()
			if done = true; true {
				cond.Broadcast()
			}
			for {
				cond.Wait() // for ever
			}
		})
		lock.Lock()
		for !done {
			cond.Wait()
		}
		lock.Unlock()
		return open(e)
	}
	if _, err := explore(t, Config{Models: adrOnly}, w); err != nil {
		t.Error(err)
	}
	w.Recover = func(e *Env) (*pair, error) {
		if v, _ := e.Medium.Load8(64); v == 2 {
			e.Medium.Await(func() bool { return false })
		}
		return open(e)
	}
	_, err := explore(t, Config{Models: adrOnly}, w)
	wantFailure(t, err, ErrDeadlock)
}

// A structure may have goroutines of its own, which end with the workload.
func TestBackground(t *testing.T) {
	w := pairWorkload("")
	w.Run = func(o *Ops[*pair]) error {
		want, done := uint64(0), uint64(0)
		o.Env.Medium.Go(func() {
			for {
				o.Env.Medium.Await(func() bool { return want > done })
				if o.S.set(want, want) == nil {
					done = want
				}
			}
		})
		for v := range uint64(3) {
			err := o.Do("set", func(*pair) error {
				want = v + 1
				o.Env.Medium.Await(func() bool { return done == want })
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
	r, err := explore(t, Config{Models: adrOnly, Schedules: 5}, w)
	if err != nil {
		t.Fatal(err)
	}
	if r.Models[0].SchedulesTried != 5 {
		t.Errorf("%d schedules tried", r.Models[0].SchedulesTried)
	}
}
