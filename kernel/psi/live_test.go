package psi

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/hog"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/cgroup"
	"github.com/safevma/safevma/lab"
)

// thrashing starts a process that, when it is told to, reads a file larger than the memory
// that it may have, in groups of its own: one that limits, and one that counts pressure,
// which is returned. In version 2 that is the same.
func thrashing(t *testing.T) (*cgroup.Group, *hog.Process) {
	t.Helper()
	lab.MemoryController(t)
	name := fmt.Sprintf("safevma-psi-test-%d", os.Getpid())
	limits, err := cgroup.NewMemory(name, 16<<20)
	if err != nil {
		t.Skip("no own group with a limit:", err)
	}
	counts := limits
	groups := []*cgroup.Group{limits}
	if limits.Version() == 1 {
		if counts, err = cgroup.NewUnified(name); err == nil {
			groups = append(groups, counts)
		}
	}
	t.Cleanup(func() {
		for _, g := range groups {
			if err := g.Remove(); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Skip("no own group that counts pressure:", err)
	}
	process := hog.Reads(t, lab.Scratch(t), 64<<20)
	for _, g := range groups {
		if err := g.Add(process.PID); err != nil {
			t.Fatal(err)
		}
	}
	return counts, process
}

func TestMain(m *testing.M) {
	hog.Main()
	os.Exit(m.Run())
}

// Under real pressure in an own group the trigger fires and is confirmed; before there is
// any, nothing is confirmed, whatever fires. When the group is removed, its trigger is told.
func TestLiveWatcher(t *testing.T) {
	group, process := thrashing(t)
	path := filepath.Join(group.Dir(), "memory.pressure")
	w, err := NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	got, err := w.Add(path, Spec{Some, 10 * time.Millisecond, time.Second})
	if errors.Is(err, ErrAbsent) || errors.Is(err, ErrOff) || errors.Is(err, os.ErrPermission) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Log("armed:", got)
	ctx, stop := context.WithTimeout(context.Background(), 60*time.Second)
	defer stop()
	started := false
	time.AfterFunc(300*time.Millisecond, func() { _ = process.Go() })
	begin := time.Now()
	errDone := errors.New("done")
	err = w.Run(ctx, func(e Event) error {
		started = started || time.Since(begin) > 290*time.Millisecond
		t.Logf("after %v: %+v", time.Since(begin), e)
		if !started && e.Confirmed {
			t.Error("confirmed before there was any pressure")
		}
		if e.Confirmed {
			return errDone
		}
		return nil
	})
	if !errors.Is(err, errDone) {
		t.Errorf("no event of a group under pressure: %v", err)
	}
	if p, err := Read(path); err != nil || p.Some.Total < got.Stall {
		t.Errorf("%+v, %v", p, err)
	}
}

// A group had pressure, and has none any more, when a trigger of a process without
// CAP_SYS_RESOURCE is armed: what that tells of the time before is not confirmed.
func TestLivePast(t *testing.T) {
	group, process := thrashing(t)
	path := filepath.Join(group.Dir(), "memory.pressure")
	const stall = 10 * time.Millisecond
	if err := process.Go(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		p, err := Read(path)
		if errors.Is(err, ErrAbsent) || errors.Is(err, ErrOff) {
			t.Skip(err)
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("no pressure: %+v, %v", p, err)
		}
		if p.Some.Total > 10*stall {
			break
		}
	}
	process.End()
	w, err := NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := unprivileged(func() error { _, err := w.Add(path, Spec{Some, stall, 2 * time.Second}); return err }); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
	defer stop()
	events := 0
	err = w.Run(ctx, func(e Event) error {
		events++
		t.Logf("%+v", e)
		if e.Confirmed {
			t.Errorf("what was before is confirmed: %+v", e)
		}
		return nil
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	t.Logf("%d events of a group without pressure: Linux 6.12 to 7.3 tell one", events)
}

// unprivileged calls fn on a thread without capabilities, which is thrown away then.
func unprivileged(fn func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := sys.KeepCapabilities()
		if err == nil {
			err = fn()
		}
		done <- err
	}()
	return <-done
}

func TestLiveGone(t *testing.T) {
	group, err := cgroup.NewUnified(fmt.Sprintf("safevma-psi-gone-%d", os.Getpid()))
	if err != nil {
		t.Skip(err)
	}
	defer group.Remove()
	w, err := NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Add(filepath.Join(group.Dir(), "memory.pressure"), Spec{Some, time.Second, 2 * time.Second}); err != nil {
		t.Skip(err)
	}
	next := run(t, w)
	if err := group.Remove(); err != nil {
		t.Fatal(err)
	}
	if e := next(); !e.Gone {
		t.Errorf("%+v", e)
	}
}

// Every file of the host that there is says something that makes sense.
func TestLiveResources(t *testing.T) {
	for _, r := range Resources() {
		p, err := Read(filepath.Join("/proc/pressure", string(r)))
		if errors.Is(err, ErrAbsent) || errors.Is(err, ErrOff) {
			t.Log(r, err)
			continue
		}
		if err != nil || !p.HasSome && !p.HasFull || p.Some.Total < p.Full.Total && p.HasSome {
			t.Errorf("%s: %+v, %v", r, p, err)
		}
	}
}
