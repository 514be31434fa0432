package model

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/safevma/safevma/pmem/crash"
	"github.com/safevma/safevma/pmem/crash/state"
	"github.com/safevma/safevma/pmem/medium"
)

// sums are what the words of adders should be.
type sums struct{ words []uint64 }

func newSums(n int) *sums { return &sums{make([]uint64, n)} }

func (s *sums) Clone() crash.Model { return &sums{append([]uint64(nil), s.words...)} }
func (s *sums) String() string {
	return strings.Join(strings.Fields(strings.Trim(fmt.Sprint(s.words), "[]")), " ") + " "
}

func effect(fn func(*sums) string) func(crash.Model) string {
	return func(m crash.Model) string {
		s, ok := m.(*sums)
		if !ok {
			return ""
		}
		return fn(s)
	}
}

// start starts a goroutine, which ends where a sync failed.
func start(o *ops, fn func(*ops) error) {
	o.Go(func(o *ops) error {
		if err := fn(o); !errors.Is(err, medium.ErrSync) {
			return err
		}
		return nil
	})
}

// adders are goroutines that each add to some words. The pool that each schedule ran with goes
// to seen.
func adders(o Options, seen func(*Pool), all ...[]int) workload {
	w := pools(o, func(o *ops) error {
		seen(o.S)
		for _, words := range all {
			start(o, func(o *ops) error { return adding(o, words) })
		}
		return nil
	})
	w.Model = newSums(o.Words)
	return w
}

func adding(o *ops, words []int) error {
	return o.Apply(fmt.Sprint("add ", words), func(p *Pool) (string, error) { v, err := p.Add(1, words...); return fmt.Sprint(v), err },
		effect(func(s *sums) string {
			var now []uint64
			for _, i := range words {
				s.words[i]++
				now = append(now, s.words[i])
			}
			return fmt.Sprint(now)
		}))
}

func ignore(*Pool) {}

// combining has three committers, of which two share a word.
func combining(b Break) workload {
	return adders(Options{Break: b, Slots: 3, Words: 2}, ignore, []int{0}, []int{1}, []int{0})
}

// combiningRead has a committer of two words, and a reader besides.
func combiningRead(b Break) workload {
	w := adders(Options{Break: b, Slots: 3, Words: 4}, ignore, []int{0}, []int{1, 2}, []int{3})
	run := w.Run
	w.Run = func(o *ops) error {
		start(o, func(o *ops) error { return getting(o, 1) })
		return run(o)
	}
	return w
}

// erasing beside committers: the free, and then the scrub, wait for the appender's turn.
func erasesTogether(o Options, seen func(*Pool)) workload {
	w := erasing(o)
	w.Resume = nil
	w.Run = func(o *ops) error {
		seen(o.S)
		start(o, func(o *ops) error {
			err := o.Apply("remove", func(p *Pool) (string, error) { return "", p.Remove(0) }, effect(func(s *sums) string { s.words[0] = 0; return "" }))
			if err != nil {
				return err
			}
			err = o.Apply("scrub", func(p *Pool) (string, error) { return "", p.Scrub() }, effect(func(*sums) string { return "" }))
			if err != nil {
				return err
			}
			return o.Erased(encode(secret))
		})
		for _, i := range []int{1, 2} {
			start(o, func(o *ops) error { return adding(o, []int{i}) })
		}
		return nil
	}
	w.Model = &sums{[]uint64{1, 0, 0}}
	w.Dump = func(p *Pool) (string, error) {
		s := newSums(p.Words)
		for i := range s.words {
			var err error
			if s.words[i], err = p.root(i); err != nil {
				return "", err
			}
		}
		return s.String(), nil
	}
	return w
}

// shape is committers, how many schedules of them are tried, and what must have been met.
type shape struct {
	w         func(seen func(*Pool)) workload
	schedules int
	want      combination
}

func shapes() map[string]shape {
	adders := func(o Options, all ...[]int) func(func(*Pool)) workload {
		return func(seen func(*Pool)) workload { return adders(o, seen, all...) }
	}
	return map[string]shape{
		"shared": {adders(Options{Slots: 3, Words: 2}, []int{0}, []int{1}, []int{0}), 100, combination{records: 2}},
		"three":  {adders(Options{Slots: 4, Words: 4}, []int{0}, []int{1}, []int{2}, []int{3}), 40, combination{records: 3}},
		"chain":  {adders(Options{Slots: 4, Words: 4, Changes: 1}, []int{0}, []int{1, 2}, []int{3}), 40, combination{2, true, false}},
		"wraps":  {turned(adders(Options{Slots: 3, Words: 3}, []int{0}, []int{1}, []int{2})), 40, combination{2, false, true}},
		"erase":  {func(seen func(*Pool)) workload { return erasesTogether(Options{Slots: 4, Words: 3, Objects: 1}, seen) }, 20, combination{records: 1}},
	}
}

func TestCombining(t *testing.T) {
	for name, c := range shapes() {
		t.Run(name, func(t *testing.T) { testCombining(t, c.w, c.schedules, c.want) })
	}
}

func TestCombiningNightly(t *testing.T) {
	nightly(t)
	for name, c := range shapes() {
		t.Run(name, func(t *testing.T) { testCombining(t, c.w, 20*c.schedules, c.want) })
	}
}

// turned begins in the second slot of an empty log.
func turned(w func(func(*Pool)) workload) func(func(*Pool)) workload {
	return func(seen func(*Pool)) workload {
		w := w(seen)
		create := w.Create
		w.Create = func(e *crash.Env) (*Pool, error) {
			p, err := create(e)
			if err != nil {
				return nil, err
			}
			return p, errors.Join(p.Set(0, 0), p.Checkpoint(nobody))
		}
		return w
	}
}

func testCombining(t *testing.T, w func(func(*Pool)) workload, schedules int, want combination) {
	var all []*Pool
	for _, m := range []state.Model{crash.Kill, crash.ADR, crash.EADR, crash.PageCache} {
		cfg := everything(m)
		if cfg.Schedules = schedules; testing.Short() {
			cfg.Schedules, cfg.Shallow = schedules/5, true
		}
		if r := crash.Run(t, cfg, w(func(p *Pool) { all = append(all, p) })); r != nil {
			complete(t, r)
		}
	}
	var met combination
	for _, p := range all {
		met = combination{max(met.records, p.met.records), met.chain || p.met.chain, met.wraps || p.met.wraps}
	}
	if met.records < want.records || want.chain && !met.chain || want.wraps && !met.wraps {
		t.Errorf("met %+v, want %+v", met, want)
	}
}
