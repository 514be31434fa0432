package damon

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Nothing of what somebody else made is touched: whatever is asked for is refused before
// anything is written.
func TestForeign(t *testing.T) {
	f := newFake(linux73)
	start(t, f.control(t, Options{}), planned())
	files, active := f.everything()
	f.writes = nil
	c := f.control(t, Options{}) // of another record
	same := func(now []Kdamond) ([]Kdamond, error) { now[0].State = Off; return now, nil }
	for _, dry := range []bool{false, true} {
		c.DryRun = dry
		for name, do := range map[string]func() error{
			"start": func() error { _, err := c.Start(t.Context(), planned()); return err },
			"tune":  func() error { _, err := c.Tune(t.Context(), same); return err },
			"stop":  func() error { _, err := c.Stop(t.Context()); return err },
			"run":   func() error { _, err := c.Run(t.Context(), 0, UpdateStats); return err },
		} {
			var of *Foreign
			if err := do(); !errors.Is(err, ErrForeign) || !errors.As(err, &of) || of.Kdamonds != 2 || !slices.Equal(of.PIDs, []int{100, 101}) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if entries, err := os.ReadDir(c.dir); err != nil || len(entries) > 0 {
		t.Errorf("in the directory of the record: %v, %v", entries, err)
	}
	if again, still := f.everything(); len(f.writes) > 0 || !maps.Equal(files, again) || !maps.Equal(active, still) {
		t.Errorf("written: %v", f.writes)
	}
}

// What is adopted is tuned as it runs and stopped, and its directories stay.
func TestAdopt(t *testing.T) {
	f := newFake(linux73)
	before := start(t, f.control(t, Options{}), planned()).Kdamonds
	c := f.control(t, Options{Adopt: true})
	if _, err := c.Start(t.Context(), planned()); !errors.Is(err, ErrRunning) {
		t.Errorf("it runs: %v", err)
	}
	after, err := c.Tune(t.Context(), func(now []Kdamond) ([]Kdamond, error) {
		now[0].Contexts[0].Attrs.Regions.Max = 500
		return now, nil
	})
	if err != nil || after.Kdamonds[0].PID != before[0].PID || after.Kdamonds[0].Contexts[0].Attrs.Regions.Max != 500 {
		t.Fatalf("%+v, %v", after, err)
	}
	c.Adopt = false // it is ours now
	if _, err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(f.active) > 0 || f.files["nr_kdamonds"] != "2" || f.files["1/contexts/0/schemes/0/action"] != "pageout" {
		t.Errorf("%v, %v", f.active, f.files)
	}
	if _, err := c.Stop(t.Context()); !errors.Is(err, ErrForeign) {
		t.Errorf("what was adopted and stopped is whose it was: %v", err)
	}
}

// What the record names is ours as long as it is the same threads with the same set-up in the
// same boot. One that ended by itself is still ours.
func TestOurs(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(f *fakeKernel, c *Control)
		ours bool
	}{
		"as it was":          {func(*fakeKernel, *Control) {}, true},
		"ended":              {func(f *fakeKernel, _ *Control) { f.end(0) }, true},
		"another thread":     {func(f *fakeKernel, _ *Control) { f.end(0); _ = f.turnOn(0) }, false},
		"another set-up":     {func(f *fakeKernel, _ *Control) { f.files["1/contexts/0/schemes/0/quotas/ms"] = "11" }, false},
		"what it counted":    {func(f *fakeKernel, _ *Control) { f.files["1/contexts/0/schemes/0/stats/nr_tried"] = "11" }, true},
		"another boot":       {func(_ *fakeKernel, c *Control) { c.boot = "another" }, false},
		"one more":           {func(f *fakeKernel, _ *Control) { f.make("2"); f.files["nr_kdamonds"] = "3" }, false},
		"another's filters":  {func(f *fakeKernel, _ *Control) { _ = f.count("1/contexts/0/schemes/0/filters/nr_filters", "0") }, false},
		"a record of others": {func(_ *fakeKernel, c *Control) { c.dir += "/other" }, false},
	} {
		f := newFake(linux73)
		c := f.control(t, Options{})
		start(t, c, planned())
		tt.do(f, c)
		_, err := c.Run(t.Context(), 1, UpdateStats)
		if ours := !errors.Is(err, ErrForeign); ours != tt.ours || ours && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The status says which kdamonds are ours.
func TestStatusOurs(t *testing.T) {
	f := newFake(linux73)
	fs := f.at()
	fs.run = t.TempDir()
	l, err := fs.ledger()
	if err != nil {
		t.Fatal(err)
	}
	started := start(t, &Control{fs, Options{}, l}, planned())
	proc := fakeProc(t, map[int]string{started.Kdamonds[0].PID: "kdamond.0", started.Kdamonds[1].PID: "kdamond.1"})
	for _, want := range []Owner{BySafevma, ByInterface} {
		s, err := fs.Status(proc)
		if err != nil || len(s.Threads) != 2 || s.Threads[0].Owner != want || s.Threads[1].Owner != want {
			t.Errorf("%+v, %v, want %s", s, err, want)
		}
		f.files["1/contexts/0/schemes/0/quotas/ms"] = "77" // by somebody else
	}
}

// A record that can't be read is an error, and no leave to write.
func TestRecordMalformed(t *testing.T) {
	f := newFake(linux73)
	c := f.control(t, Options{})
	start(t, c, planned())
	if err := os.WriteFile(c.file(), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Stop(t.Context()); !errors.Is(err, ErrMalformed) || len(f.active) != 2 {
		t.Errorf("%v, %v", err, f.active)
	}
}

// Where the record can't be written, what was started runs, and the error says what to do.
func TestRecordUnwritable(t *testing.T) {
	f := newFake(linux73)
	c := f.control(t, Options{})
	if err := os.MkdirAll(filepath.Join(c.file(), "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	change, err := c.Start(t.Context(), planned())
	if err == nil || !strings.Contains(err.Error(), "adopt it") || len(change.Kdamonds) != 2 || len(f.active) != 2 {
		t.Errorf("%+v, %v", change, err)
	}
}

// A directory into which others can put a record is not believed, nor is a link to one.
func TestRecordOfOthers(t *testing.T) {
	f := newFake(linux73)
	c := f.control(t, Options{})
	start(t, c, planned())
	if err := os.Chmod(c.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Stop(t.Context()); err == nil || !strings.Contains(err.Error(), "not this user's alone") || len(f.active) != 2 {
		t.Errorf("anybody's: %v, %v", err, f.active)
	}
	if err := os.Chmod(c.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(c.dir, link); err != nil {
		t.Fatal(err)
	}
	real := c.dir
	c.dir = link
	if _, err := c.Stop(t.Context()); err == nil || len(f.active) != 2 {
		t.Errorf("a link: %v, %v", err, f.active)
	}
	c.dir = real
	if _, err := c.Stop(t.Context()); err != nil || len(f.active) != 0 {
		t.Errorf("the control: %v, %v", err, f.active)
	}
}

// Of two that change the interface, one waits for the other.
func TestLock(t *testing.T) {
	f := newFake(linux73)
	c := f.control(t, Options{})
	start(t, c, planned())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	n := len(f.writes)
	_, err := c.Tune(t.Context(), func(now []Kdamond) ([]Kdamond, error) {
		_, err := c.Stop(ctx)
		return now, err
	})
	if !errors.Is(err, context.DeadlineExceeded) || len(f.writes) != n {
		t.Errorf("%v; written %v", err, f.writes[n:])
	}
	if _, err := c.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// Who has waited sees what the other has made of it, and takes nothing half done for somebody
// else's.
func TestTurns(t *testing.T) {
	f := newFake(linux73)
	c := f.control(t, Options{})
	start(t, c, planned())
	done := make(chan error)
	for i := range 8 {
		go func() {
			_, err := c.Tune(t.Context(), func(now []Kdamond) ([]Kdamond, error) {
				now[i%2].Contexts[0].Attrs.Intervals.Aggr++
				now[1].Contexts[0].Schemes[0].Quotas.MS++
				return now, nil
			})
			done <- err
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	in, err := f.at().Read()
	if err != nil {
		t.Fatal(err)
	}
	a, b := in.Kdamonds[0].Contexts[0], in.Kdamonds[1].Contexts[0]
	if a.Attrs.Intervals.Aggr != 100_004 || b.Attrs.Intervals.Aggr != 100_004 || b.Schemes[0].Quotas.MS != 18 {
		t.Errorf("%+v, %+v", a, b)
	}
}

// What somebody else sets up while kdamonds are being turned off is not removed with them.
func TestStopIntruder(t *testing.T) {
	f := newFake(linux73)
	c := f.control(t, Options{})
	start(t, c, planned())
	f.refuses = func(file string) error {
		if file != "1/state" {
			return nil
		}
		f.refuses = nil
		f.end(1)
		return errors.Join(f.store("nr_kdamonds", "2"), f.store("0/contexts/nr_contexts", "1"))
	}
	if _, err := c.Stop(t.Context()); !errors.Is(err, ErrForeign) {
		t.Error(err)
	}
	if f.files["nr_kdamonds"] != "2" || f.files["0/contexts/nr_contexts"] != "1" {
		t.Errorf("removed: %v", f.files["nr_kdamonds"])
	}
}
