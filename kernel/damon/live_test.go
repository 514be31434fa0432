package damon

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/safevma/safevma/lab"
)

// guest lets a test write to the kernel of a lab machine, and to no other: there the
// interface is free, and is so again when the test ends.
func guest(t *testing.T) FS {
	t.Helper()
	lab.Inside(t)
	lab.Require(t, "damon-vaddr")
	lab.Require(t, "damon-paddr")
	f := Default()
	if m, err := f.Modules(); err != nil {
		t.Fatal(err)
	} else if m.Stat != nil && m.Stat.Enabled {
		const enabled = "/sys/module/damon_stat/parameters/enabled"
		set(t, enabled, "N")
		t.Cleanup(func() { set(t, enabled, "Y") })
	}
	t.Cleanup(func() {
		if left := content(t, f.kdamonds()); !maps.Equal(left, map[string]string{"nr_kdamonds": "0"}) {
			t.Errorf("left: %v", left)
		}
	})
	return f
}

func set(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0); err != nil {
		t.Fatal(err)
	}
}

func liveControl(t *testing.T, o Options) *Control {
	t.Helper()
	c, err := NewControl(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// removeAll ends what a test that failed has left.
func removeAll(t *testing.T, f FS) {
	t.Cleanup(func() {
		in, err := f.Read()
		if err != nil {
			t.Error(err)
			return
		}
		for _, w := range append(stopping(in.Kdamonds, true), Write{File: countFile, To: "0"}) {
			if err := f.command(w); err != nil {
				t.Error(err)
			}
		}
	})
}

// A real kernel is started, tuned while it runs, and stopped; what it can't do leaves what
// was before.
func TestLiveControl(t *testing.T) {
	f := guest(t)
	removeAll(t, f)
	c := liveControl(t, Options{})
	want := planned()
	want[1].Contexts[0].Schemes[0].Filters = nil // the next test has them
	started := start(t, c, want)
	pids := []int{started.Kdamonds[0].PID, started.Kdamonds[1].PID}
	for _, pid := range pids {
		if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err != nil || !strings.HasPrefix(string(name), "kdamond") {
			t.Errorf("%d: %q, %v", pid, name, err)
		}
	}
	tuned, err := c.Tune(t.Context(), func(now []Kdamond) ([]Kdamond, error) {
		now[0].Contexts[0].Attrs.Regions.Max = 500
		now[0].Contexts[0].Schemes = []Scheme{NewScheme(Stat)}
		now[1].Contexts[0].Schemes[0].Quotas.MS = 20
		return now, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := tuned.Kdamonds; got[0].PID != pids[0] || got[1].PID != pids[1] || got[0].Contexts[0].Attrs.Regions.Max != 500 {
		t.Errorf("%+v", got)
	}
	liveStats(t, c)
	if _, err := (&Control{f, Options{}, ledger{t.TempDir(), c.boot}}).Stop(t.Context()); !errors.Is(err, ErrForeign) {
		t.Errorf("another's record: %v", err)
	}
	if _, err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// liveStats waits until the scheme that was added counts: the kernel was told of it.
func liveStats(t *testing.T, c *Control) {
	t.Helper()
	for range 600 {
		now, err := c.Run(t.Context(), 0, UpdateStats)
		if err != nil {
			t.Fatal(err)
		}
		if now[0].Contexts[0].Schemes[0].Stats.Tried > 0 {
			return
		}
	}
	t.Error("the scheme tries nothing")
}

// A change that the kernel refuses when it is told to take it over is put back.
func TestLiveRollback(t *testing.T) {
	f := guest(t)
	removeAll(t, f)
	c := liveControl(t, Options{})
	dead := deadPID(t)
	want := []Kdamond{NewKdamond(VAddr)}
	want[0].Contexts[0].Targets = []Target{{PID: dead}}
	var of *Failed
	if _, err := c.Start(t.Context(), want); !errors.Is(err, syscall.EINVAL) || !errors.As(err, &of) || len(of.Left) > 0 {
		t.Fatalf("a process that is not there: %v", err)
	}
	want[0].Contexts[0].Targets[0].PID = os.Getpid()
	start(t, c, want)
	before := content(t, f.kdamonds())
	_, err := c.Tune(t.Context(), func(now []Kdamond) ([]Kdamond, error) {
		now[0].Contexts[0].Attrs.Regions.Max = 500
		now[0].Contexts[0].Targets = append(now[0].Contexts[0].Targets, Target{PID: dead})
		return now, nil
	})
	t.Logf("tuned to a process that is not there: %v", err)
	if err != nil {
		if !errors.As(err, &of) || len(of.Left) > 0 {
			t.Errorf("%v", err)
		}
		if after := content(t, f.kdamonds()); len(of.Lost) == 0 && !maps.Equal(after, before) {
			t.Errorf("before\n%v\nafter\n%v", before, after)
		}
	}
	if _, err := c.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// While a command of somebody waits for an aggregation, files are busy; reading waits for it.
func TestLiveBusy(t *testing.T) {
	f := guest(t)
	removeAll(t, f)
	c := liveControl(t, Options{})
	want := planned()[:1]
	want[0].Contexts[0].Attrs.Intervals = Intervals{Sample: 100_000, Aggr: 1_000_000, Update: 60_000_000}
	start(t, c, want)
	done := make(chan error)
	go func() {
		_, err := c.Run(t.Context(), 0, UpdateStats)
		done <- err
	}()
	state := filepath.Join(f.kdamonds(), "0/state")
	busy := false
	var err error
	for waiting := true; waiting && !busy; {
		_, readErr := f.tree.read(state)
		busy = errors.Is(readErr, syscall.EBUSY)
		select {
		case err = <-done:
			waiting = false
		default:
		}
	}
	if busy {
		if _, err := f.Read(); err != nil {
			t.Errorf("reading does not wait: %v", err)
		}
		err = <-done
	}
	if err != nil {
		t.Error(err)
	}
	if _, err := c.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if !busy {
		t.Skip("the command was over before a file was read")
	}
}

// While a module watches, nothing else may: the error names it, and nothing is left.
func TestLiveModule(t *testing.T) {
	f := guest(t)
	removeAll(t, f)
	tried := 0
	for _, module := range []string{"damon_stat", "damon_reclaim", "damon_lru_sort"} {
		enabled := f.path("module", module, "parameters", "enabled")
		if _, err := os.Stat(enabled); err != nil {
			continue
		}
		tried++
		set(t, enabled, "Y")
		_, err := liveControl(t, Options{}).Start(t.Context(), []Kdamond{NewKdamond(PAddr)})
		set(t, enabled, "N")
		var of *Refused
		if !errors.Is(err, syscall.EBUSY) || !errors.As(err, &of) || !slices.Equal(of.Modules, []string{module}) {
			t.Errorf("%s: %v", module, err)
		}
	}
	if tried == 0 {
		t.Skip("this kernel has no such module")
	}
	t.Logf("%d modules", tried)
}

// failing is the kernel's tree, where the k-th write fails.
type failing struct {
	tree
	left *int
}

func (f failing) write(path, text string) error {
	if *f.left--; *f.left == 0 {
		return syscall.EIO
	}
	return f.tree.write(path, text)
}

// Whichever write fails, a kdamond that runs goes on as the same thread with what it had, as the
// real files say.
func TestLiveFailingWrite(t *testing.T) {
	f := guest(t)
	removeAll(t, f)
	c := liveControl(t, Options{})
	want := planned()[1:]
	want[0].Contexts[0].Schemes[0].Filters = nil
	start(t, c, want)
	before := content(t, f.kdamonds())
	for k := 1; ; k++ {
		left := k
		c.fs.tree = failing{f.tree, &left}
		_, err := c.Tune(t.Context(), func(now []Kdamond) ([]Kdamond, error) {
			now[0].Contexts[0].Attrs.Regions.Max = 500
			now[0].Contexts[0].Targets[0].Regions = now[0].Contexts[0].Targets[0].Regions[:1]
			now[0].Contexts[0].Schemes[0].Quotas.MS = 20
			return now, nil
		})
		if err == nil {
			if k < 7 { // a value, a number and two ends, a value, a command
				t.Errorf("%d writes", k-1)
			}
			break
		}
		var of *Failed
		if !errors.Is(err, syscall.EIO) || !errors.As(err, &of) || len(of.Left)+len(of.Lost) > 0 {
			t.Errorf("write %d: %v", k, err)
		}
		if after := content(t, f.kdamonds()); !maps.Equal(after, before) {
			t.Errorf("write %d: before\n%v\nafter\n%v", k, before, after)
		}
	}
	c.fs.tree = f.tree
	if _, err := c.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func deadPID(t *testing.T) int {
	t.Helper()
	p, err := os.StartProcess("/proc/self/exe", []string{"x", "-test.run=^$"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	return p.Pid
}
