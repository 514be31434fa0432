package cgroup

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/hog"
	"github.com/safevma/safevma/lab"
)

// limited makes an own group with little memory.
func limited(t *testing.T, name string) *Group {
	t.Helper()
	lab.MemoryController(t)
	g, err := NewMemory(fmt.Sprintf("safevma-cgroup-%s-%d", name, os.Getpid()), 16<<20)
	if errors.Is(err, ErrNoController) || errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func TestMain(m *testing.M) {
	hog.Main()
	os.Exit(m.Run())
}

// A group that comes to its limit again and again is told of: by events of version 2, or by
// the level of version 1; one where nothing happens is not.
func TestNotice(t *testing.T) {
	g := limited(t, "notice")
	if g.Version() == 1 { // so that memory.failcnt counts: see Events
		if err := g.write("memory.memsw.limit_in_bytes", "-1"); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	process := hog.Reads(t, lab.Scratch(t), 64<<20)
	if err := g.Add(process.PID); err != nil {
		t.Fatal(err)
	}
	var n *Notice
	var err error
	if g.Version() == 1 {
		n, err = WatchPressure(g.Dir(), Low)
	} else {
		n, err = WatchEvents(g.Dir())
	}
	if err != nil {
		t.Skip(err)
	}
	defer n.Close()
	if fired, err := n.Wait(50 * time.Millisecond); fired || err != nil {
		t.Errorf("before anything happened: %v, %v", fired, err)
	}
	before, err := ReadEvents(g.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Go(); err != nil {
		t.Fatal(err)
	}
	if fired, err := n.Wait(20 * time.Second); !fired || err != nil {
		t.Errorf("under pressure: %v, %v", fired, err)
	}
	after, err := ReadEvents(g.Dir())
	if err != nil || after.Max == nil || *after.Max <= *before.Max {
		t.Errorf("the count of the limit does not grow: from %d to %d, %v", *before.Max, *after.Max, err)
	}
	m, err := ReadMemory(g.Dir())
	if err != nil || m.Max == nil || *m.Max != 16<<20 || m.Current == nil || *m.Current > *m.Max {
		t.Errorf("%+v, %v", m, err)
	}
}

// A notice of a group that is removed says so.
func TestNoticeGone(t *testing.T) {
	g := limited(t, "gone")
	watch := WatchEvents
	if g.Version() == 1 {
		watch = WatchOOM
	}
	n, err := watch(g.Dir())
	if err != nil {
		t.Skip(err)
	}
	defer n.Close()
	if err := g.Remove(); err != nil {
		t.Fatal(err)
	}
	if fired, err := n.Wait(20 * time.Second); fired || !errors.Is(err, ErrGone) {
		t.Errorf("%v, %v", fired, err)
	}
}

// What the caller can see holds the caller.
func TestLiveGroups(t *testing.T) {
	f := Default()
	for _, controller := range []string{"", "memory"} {
		ref, err := f.Of(os.Getpid(), controller)
		if err != nil {
			t.Log(controller, err)
			continue
		}
		all, err := f.Groups(controller)
		if err != nil && !errors.Is(err, os.ErrPermission) {
			t.Fatal(err)
		}
		found := false
		for _, r := range all {
			found = found || r == ref
		}
		if !found {
			t.Errorf("%+v is not among %d groups", ref, len(all))
		}
	}
}
