package crash

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/safevma/safevma/pmem/crash/state"
	"github.com/safevma/safevma/pmem/medium"
)

// The explorer prunes, layers and deduplicates. Here what it finds is held against the plain
// way, which does none of that: random workloads, random recoveries that read and store in
// dependence on what they read, and the set of all outcomes, of one crash and of two.

// random is a structure that means nothing.
type random struct {
	m    *medium.Medium
	seed uint64
}

const randomLines = 4 // the last one takes non-temporal stores alone

// step does something to the medium that depends on r alone.
func (s *random) step(r *rand.Rand) error {
	off := int64(r.IntN(randomLines-1)*64 + r.IntN(3)*8)
	v := uint64(r.IntN(3))
	switch r.IntN(6) {
	case 0:
		return s.m.Persist(off, 8)
	case 1:
		return s.m.StorePersist8(off, v, 0)
	case 2:
		raw := make([]byte, 16)
		raw[0], raw[8] = byte(v), byte(v)
		return s.m.Write((randomLines-1)*64+int64(r.IntN(2))*16, raw, 0)
	}
	return s.m.Store8(off, v, 0)
}

// recover reads and stores, each step by what it read before.
func (s *random) recover() error {
	h := s.seed
	for i := range 10 {
		r := rand.New(rand.NewPCG(h, uint64(i)))
		if r.IntN(2) == 0 {
			if err := s.step(r); err != nil {
				return err
			}
			continue
		}
		v, err := s.m.Load8(int64(r.IntN(randomLines)*64 + r.IntN(4)*8))
		if err != nil {
			return err
		}
		h = h*31 + v
	}
	s.seed = h
	return nil
}

// dump reads a little, and not the same always.
func (s *random) dump() (string, error) {
	r := rand.New(rand.NewPCG(s.seed, 99))
	text := fmt.Sprint(s.seed)
	for range 3 {
		v, err := s.m.Load8(int64(r.IntN(randomLines)*64 + r.IntN(4)*8))
		if err != nil {
			return "", err
		}
		text += fmt.Sprint(" ", v)
	}
	return text, nil
}

func randomWorkload(seed uint64, seen map[string]bool) *workload {
	w := Workload[*random]{
		Size:   4096,
		Create: func(e *Env) (*random, error) { return &random{e.Medium, 0}, nil },
		Run: func(o *Ops[*random]) error {
			r := rand.New(rand.NewPCG(seed, 5))
			var err error
			for range 2 {
				err = errors.Join(err, o.Do("steps", func(s *random) error {
					return errors.Join(s.step(r), s.step(r), s.step(r), s.step(r))
				}))
			}
			return err
		},
		Recover: func(e *Env) (*random, error) {
			s := &random{e.Medium, seed}
			return s, s.recover()
		},
		Check: func(s *random) error {
			text, err := s.dump()
			seen[text] = true
			return err
		},
	}
	u, err := w.untyped()
	if err != nil {
		return nil
	}
	return u
}

func TestDifferential(t *testing.T) {
	n := uint64(60)
	if testing.Short() {
		n = 10
	}
	outcomes := 0
	for _, model := range []state.Model{Kill, ADR, EADR, PageCache, PageCacheTorn} {
		for seed := range n {
			for _, shallow := range []bool{true, false} {
				got, want := map[string]bool{}, map[string]bool{}
				u := randomWorkload(seed, got)
				tr, err := record(u, model, how{seed: seed})
				if err != nil {
					t.Fatal(err)
				}
				e := newExplorer(context.Background(), Config{Shallow: shallow}.withDefaults(), u, model)
				if err := errors.Join(e.begin(tr), e.replay()); err != nil {
					t.Fatalf("%v seed %d: %v", model, seed, err)
				}
				e.close()
				plainOutcomes(t, randomWorkload(seed, want), model, tr, shallow)
				if !maps.Equal(got, want) {
					t.Fatalf("%v seed %d shallow %t: %d outcomes, plain %d\n%v\n%v", model, seed, shallow, len(got), len(want), got, want)
				}
				outcomes += len(got)
			}
		}
	}
	if outcomes < int(n)*15 {
		t.Errorf("%d outcomes in all: the test tests little", outcomes)
	}
}

// plainOutcomes recovers each image of each moment, and each image of each moment of each
// recovery.
func plainOutcomes(t *testing.T, w *workload, model state.Model, tr *trace, shallow bool) {
	t.Helper()
	done := map[string]bool{}
	plainImages(t, model, tr.initial, tr.events, tr.created, func(image []byte) {
		if done[string(image)] {
			return
		}
		done[string(image)] = true
		rec := &listener{w: w}
		recovered := slices.Clone(image)
		plainRecover(t, w, model, recovered, rec)
		if shallow {
			return
		}
		plainImages(t, model, image, rec.events, -1, func(again []byte) { plainRecover(t, w, model, slices.Clone(again), &listener{w: w}) })
	})
}

func plainRecover(t *testing.T, w *workload, model state.Model, image []byte, l *listener) {
	t.Helper()
	m, err := w.newMedium(image, model, l)
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.recover(&Env{Medium: m})
	if err == nil {
		err = w.check(s)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// listener takes down what recovery does.
type listener struct {
	w      *workload
	events []Event
}

func (l *listener) Event(e medium.Event) error {
	for _, ev := range l.w.translate(e) {
		ev.Data = slices.Clone(ev.Data)
		l.events = append(l.events, ev)
	}
	return nil
}

func (l *listener) Read(int64, int64) error { return nil }

// plainImages makes all images of all moments after an event: before and after each of those
// that follow, and between the words of one.
func plainImages(t *testing.T, model state.Model, initial []byte, events []Event, after int, fn func([]byte)) {
	t.Helper()
	st, err := state.New(model, slices.Clone(initial))
	if err != nil {
		t.Fatal(err)
	}
	each := func() error {
		image := slices.Clone(st.Base())
		var rest func(cells []*state.Cell)
		rest = func(cells []*state.Cell) {
			if len(cells) == 0 {
				fn(image)
				return
			}
			for _, v := range cells[0].Versions {
				copy(image[cells[0].Off:], v.Data)
				rest(cells[1:])
			}
		}
		rest(st.Cells())
		return nil
	}
	for i, e := range events {
		if i > after {
			each()
		}
		if err := st.Apply(e.Event, func() error {
			if i > after {
				return each()
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	each()
}
