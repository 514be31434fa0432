package damon

import (
	"errors"
	"maps"
	"strings"
	"syscall"
	"testing"
)

// retuned changes values, numbers of directories and states of both kdamonds.
func retuned(now []Kdamond) ([]Kdamond, error) {
	now[0].Contexts[0].Attrs.Intervals.Aggr = 200_000
	now[0].Contexts[0].Schemes = []Scheme{NewScheme(Stat)}
	now[1].Contexts[0].Schemes[0].Filters = now[1].Contexts[0].Schemes[0].Filters[1:]
	now[1].Contexts[0].Schemes[0].Quotas.MS = 20
	return now, nil
}

// failAt lets the k-th write fail, once.
func (f *fakeKernel) failAt(k int) {
	n := 0
	f.refuses = func(file string) error {
		if n++; n == k {
			return syscall.EIO
		}
		return nil
	}
}

// Whichever write fails, what was before is there again, and the kdamonds run with it; the
// record still names them.
func TestRollback(t *testing.T) {
	for name, do := range map[string]func(c *Control) error{
		"start": func(c *Control) error { _, err := c.Start(t.Context(), planned()); return err },
		"tune":  func(c *Control) error { _, err := c.Tune(t.Context(), retuned); return err },
	} {
		failures := 0
		for k := 1; ; k++ {
			f := newFake(linux73)
			c := f.control(t, Options{})
			if name == "tune" {
				start(t, c, planned())
			}
			files, active := f.everything()
			f.failAt(k)
			err := do(c)
			f.refuses = nil
			if err == nil {
				break
			}
			failures++
			var of *Failed
			if !errors.Is(err, syscall.EIO) || !errors.As(err, &of) || len(of.Left) > 0 || of.Undo != nil || len(of.Lost) > 0 {
				t.Fatalf("%s, write %d: %v", name, k, err)
			}
			if again, still := f.everything(); !maps.Equal(files, again) || !maps.Equal(active, still) {
				t.Fatalf("%s, write %d: before\n%v\n%v\nafter\n%v\n%v", name, k, files, active, again, still)
			}
			if _, err := c.Stop(t.Context()); name == "tune" && err != nil {
				t.Errorf("%s, write %d: %v", name, k, err)
			}
		}
		if failures < 10 {
			t.Errorf("%s: %d writes", name, failures)
		}
	}
}

// Where putting back fails, too, the error says what is not as it was, and only that.
func TestRollbackFails(t *testing.T) {
	f := newFake(linux73)
	c := f.control(t, Options{})
	start(t, c, planned())
	const quota = "1/contexts/0/schemes/0/quotas/ms"
	writes := 0
	f.refuses = func(file string) error {
		if file == quota {
			writes++
		}
		if file == "1/state" || file == quota && writes > 1 {
			return syscall.EIO
		}
		return nil
	}
	_, err := c.Tune(t.Context(), retuned)
	var of *Failed
	if !errors.As(err, &of) || len(of.Left) != 2 || of.Left[0] != (Write{File: quota, From: "20", To: "10"}) || of.Left[1].To != "commit" ||
		!strings.Contains(err.Error(), quota+` is left at "20", was "10"`) {
		t.Fatalf("%v", err)
	}
	f.files[quota] = "10"
	f.refuses = nil
	left := f.config("1")
	if f.active[1] != left {
		t.Errorf("\n%s\nwant\n%s", left, f.active[1])
	}
}

// What the kernel keeps other than it was written is an error, before anything is turned on.
func TestKept(t *testing.T) {
	f := newFake(linux73)
	const file = "1/contexts/0/schemes/0/quotas/ms"
	f.keeps[file] = "9"
	_, err := f.control(t, Options{}).Start(t.Context(), planned())
	var of *Kept
	if !errors.As(err, &of) || *of != (Kept{file, "10", "9"}) {
		t.Errorf("%v", err)
	}
	for _, w := range f.writes {
		if strings.HasPrefix(w, "0/state") {
			t.Errorf("%v", f.writes)
		}
	}
	if !maps.Equal(f.files, newFake(linux73).files) {
		t.Errorf("left: %v", f.files)
	}
}

// A kdamond that was turned on and is off at once is no success.
func TestEndsAtOnce(t *testing.T) {
	f := newFake(linux73)
	f.keeps["0/state"] = "off"
	_, err := f.control(t, Options{}).Start(t.Context(), planned())
	var of *Kept
	if !errors.As(err, &of) || *of != (Kept{"0/state", "on", "off"}) || len(f.active) > 0 {
		t.Errorf("%v, %v", err, f.active)
	}
}

// A kernel that ends a kdamond over a set-up that it refuses makes it run again as another
// thread: that is said, and it is still ours.
func TestRollbackLost(t *testing.T) {
	f := newFake(linux73)
	c := f.control(t, Options{})
	start(t, c, planned())
	f.refuses = func(file string) error {
		if file == "1/state" {
			f.refuses = nil
			f.end(1)
			return syscall.EINVAL
		}
		return nil
	}
	_, err := c.Tune(t.Context(), retuned)
	var of *Failed
	if !errors.As(err, &of) || len(of.Lost) != 1 || of.Lost[0] != 1 || len(of.Left) > 0 {
		t.Errorf("%v", err)
	}
	if _, err := c.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// Intervals that the kernel tunes by a goal are its own.
func TestTunedIntervals(t *testing.T) {
	f := newFake(linux73)
	want := planned()
	want[1].Contexts[0].Attrs.Intervals.Goal = &IntervalsGoal{AccessBP: 400, Aggrs: 3, MinSample: 5000, MaxSample: 10_000_000}
	c := f.control(t, Options{})
	f.keeps["1/contexts/0/monitoring_attrs/intervals/sample_us"] = "6000"
	start(t, c, want)
	f.files["1/contexts/0/monitoring_attrs/intervals/aggr_us"] = "120000"
	if _, err := c.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// intrude lets somebody else, who knows of no lock, make a kdamond and turn it on when the k-th
// write comes.
func (f *fakeKernel) intrude(t *testing.T, k int) {
	n := 0
	f.refuses = func(string) error {
		if n++; n != k {
			return nil
		}
		f.refuses = nil
		for _, w := range [][2]string{{"nr_kdamonds", "1"}, {"0/contexts/nr_contexts", "1"}, {"0/contexts/0/operations", "paddr"},
			{"0/contexts/0/targets/nr_targets", "1"}} {
			if err := f.store(w[0], w[1]); err != nil {
				t.Error(err)
			}
		}
		if err := f.turnOn(0); err != nil {
			t.Error(err)
		}
		return syscall.EBUSY
	}
}

// Who comes between the look and the writes keeps what it has made: it is not turned off to
// put back what was before.
func TestIntruder(t *testing.T) {
	for _, k := range []int{1, 2, 5} {
		f := newFake(linux73)
		f.intrude(t, k)
		_, err := f.control(t, Options{}).Start(t.Context(), planned())
		var of *Failed
		if !errors.As(err, &of) || !errors.Is(err, syscall.EBUSY) || (k > 1) != errors.Is(of.Undo, ErrForeign) {
			t.Errorf("write %d: %v", k, err)
		}
		if len(f.active) != 1 || f.files["nr_kdamonds"] != "1" || f.files["0/contexts/0/operations"] != "paddr" {
			t.Errorf("write %d: what somebody else made is gone: %v, %v", k, f.active, f.files["nr_kdamonds"])
		}
	}
}

// Another number of kdamonds than was made is an error, where somebody makes all anew behind
// the last command.
func TestKeptStates(t *testing.T) {
	on := Kdamond{State: On}
	for _, got := range [][]Kdamond{{}, {on, on}, {{State: Off}}} {
		var of *Kept
		if err := keptStates(got, []Kdamond{on}); !errors.As(err, &of) {
			t.Errorf("%v: %v", got, err)
		}
	}
	if err := keptStates([]Kdamond{on}, []Kdamond{on}); err != nil {
		t.Error(err)
	}
}
