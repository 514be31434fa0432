package cgroup

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

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

// reads starts a process in the group that reads a file larger than its limit, again and
// again: the kernel has to reclaim all the time. It begins when its input has a line, and
// ends with the test.
func reads(t *testing.T, g *Group) io.Writer {
	t.Helper()
	file := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, 64<<20); err != nil {
		t.Skip(err)
	}
	cmd := exec.Command("sh", "-c", `read go; while :; do cat "$0" >/dev/null || exit; done`, file)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if err := g.Add(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	return in
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
	in := reads(t, g)
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
	fmt.Fprintln(in, "go")
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
