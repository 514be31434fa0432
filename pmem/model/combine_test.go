package model

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/safevma/safevma/pmem/crash"
	"github.com/safevma/safevma/pmem/crash/state"
)

// sums are what the words of adders should be.
type sums [2]uint64

func (s *sums) Clone() crash.Model { c := *s; return &c }
func (s *sums) String() string     { return fmt.Sprintf("%d %d ", s[0], s[1]) }

// adders are three committers, of which two share a word. The pool that each schedule ran with
// goes to seen.
func adders(b Break, seen func(*Pool)) crash.Workload[*Pool] {
	w := pools(Options{Break: b, Slots: 3, Words: 2}, func(o *ops) error {
		seen(o.S)
		for _, i := range []int{0, 1, 0} {
			o.Go(func(o *ops) error { return adding(o, i) })
		}
		return nil
	})
	w.Model = &sums{}
	return w
}

func adding(o *ops, i int) error {
	return o.Apply(fmt.Sprint("add ", i), func(p *Pool) (string, error) { v, err := p.Add(i, 1); return fmt.Sprint(v), err },
		func(m crash.Model) string {
			if s, ok := m.(*sums); ok {
				s[i]++
				return fmt.Sprint(s[i])
			}
			return ""
		})
}

func TestCombining(t *testing.T) {
	combined := 0
	var last *Pool
	seen := func(p *Pool) {
		if last != nil {
			combined = max(combined, last.combined)
		}
		last = p
	}
	for name, cfg := range map[string]crash.Config{ // crashes in recovery cost minutes on dax
		"dax":    {Models: []state.Model{crash.ADR, crash.EADR}, Recoveries: 1 << 20, Schedules: 400},
		"nested": {Models: []state.Model{crash.Kill, crash.PageCache}, FailSyncs: 2},
	} {
		t.Run(name, func(t *testing.T) {
			if r := crash.Run(t, cfg, adders(Intact, seen)); r != nil {
				complete(t, r)
			}
		})
	}
	if seen(nil); combined < 2 {
		t.Errorf("a write had %d record at most: nothing was combined", combined)
	}
}

func TestBrokenCombining(t *testing.T) {
	cfg := crash.Config{Name: t.Name(), Models: []state.Model{crash.ADR}, Recoveries: 1 << 20, Schedules: 400}
	_, err := crash.Explore(context.Background(), cfg, adders(R3Taken, func(*Pool) {}))
	var f *crash.Failure
	if !errors.As(err, &f) {
		t.Fatalf("not caught: %v", err)
	}
	t.Logf("%v", f)
}
