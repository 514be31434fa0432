package corpus

import (
	"context"
	"errors"
	"testing"

	"github.com/safevma/safevma/pmem/crash"
)

// Every class is caught, and every twin is clean and explored completely.
func TestCorpus(t *testing.T) {
	for _, c := range Cases() {
		t.Run(c.Class, func(t *testing.T) {
			v, err := c.Try(context.Background())
			if err != nil {
				t.Fatalf("%v\n%v", err, v.Broken)
			}
			for _, m := range v.Twin.Models {
				if !m.Complete() {
					t.Errorf("the twin was not explored completely:\n%v", v.Twin)
				}
			}
			t.Logf("%v", v.Failure)
		})
	}
}

// The negative controls: with a checker made blind, and with a workload that never ran, a case
// fails the suite.
func TestBlind(t *testing.T) {
	blind := cells(cell{linkFirst: true, write: persist(72), link: persist(8)}, right)
	c := wrongOrder
	c.Explore = explore(func(broken bool) crash.Workload[*cell] {
		w := blind(broken)
		w.Dump = func(*cell) (string, error) { return "fine", nil }
		return w
	})
	if _, err := c.Try(context.Background()); !errors.Is(err, crash.ErrBlind) {
		t.Errorf("a blind checker: %v", err)
	}
	c.Explore = explore(func(broken bool) crash.Workload[*cell] {
		w := blind(broken)
		w.Run = func(*crash.Ops[*cell]) error { return nil }
		return w
	})
	if _, err := c.Try(context.Background()); !errors.Is(err, crash.ErrNothingChecked) {
		t.Errorf("a workload that never ran: %v", err)
	}
	c.Explore = explore(func(bool) crash.Workload[*cell] { return blind(false) })
	if _, err := c.Try(context.Background()); !errors.Is(err, ErrMissed) {
		t.Errorf("a bug that is not there: %v", err)
	}
	c.Explore = explore(func(bool) crash.Workload[*cell] { return blind(true) })
	if _, err := c.Try(context.Background()); !errors.Is(err, ErrAlarm) {
		t.Errorf("a twin with the bug: %v", err)
	}
}
