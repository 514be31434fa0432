package cgroup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/safevma/safevma/internal/sys"
)

// Level is a level of reclaim in a group of version 1.
type Level string

// The levels (Documentation/admin-guide/cgroup-v1/memory.rst, "Memory Pressure"): memory is
// reclaimed; it is reclaimed with effort; the group is about to run out of memory.
const (
	Low      Level = "low"
	Medium   Level = "medium"
	Critical Level = "critical"
)

// ErrGone: the group was removed.
var ErrGone = errors.New("the group is gone")

// Notice waits for one kind of event of one group. It is for one goroutine; close it.
type Notice struct {
	dir   string
	event *os.File // an eventfd (version 1), or the file itself
	of    *os.File // what the eventfd is about; nil in version 2
}

// WatchPressure waits for a level, or one above it, of memory.pressure_level (version 1).
// Events of groups below it count, too, unless those have listeners of their own.
func WatchPressure(dir string, level Level) (*Notice, error) {
	return watchV1(dir, "memory.pressure_level", string(level))
}

// WatchOOM waits for a group that has no memory left (version 1).
func WatchOOM(dir string) (*Notice, error) { return watchV1(dir, "memory.oom_control", "") }

// watchV1 registers an eventfd in cgroup.event_control.
func watchV1(dir, file, argument string) (*Notice, error) {
	of, err := sys.OpenAt(sys.AtFDCWD, filepath.Join(dir, file), sys.ORdonly)
	if err != nil {
		return nil, err
	}
	event, err := sys.Eventfd()
	if err != nil {
		return nil, errors.Join(err, of.Close())
	}
	n := &Notice{dir: dir, event: event, of: of}
	control, err := os.OpenFile(filepath.Join(dir, "cgroup.event_control"), os.O_WRONLY, 0)
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	_, err = fmt.Fprintf(control, "%d %d %s", event.Fd(), of.Fd(), argument)
	if err := errors.Join(err, control.Close()); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// WatchEvents waits for any change of memory.events (version 2).
func WatchEvents(dir string) (*Notice, error) {
	event, err := sys.OpenAt(sys.AtFDCWD, filepath.Join(dir, "memory.events"), sys.ORdonly)
	if err != nil {
		return nil, err
	}
	n := &Notice{dir: dir, event: event}
	if err := n.drain(); err != nil { // a file that was not read yet counts as changed
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// Wait waits for an event, at most for timeout, and reports whether there was one. Several
// at once count as one. [ErrGone] where the group was removed, of which the kernel tells in
// the same way.
func (n *Notice) Wait(timeout time.Duration) (bool, error) {
	wait := sys.WaitReadable
	if n.of == nil {
		wait = sys.WaitPriority
	}
	fired, err := wait(n.event, timeout)
	if err != nil || !fired {
		return false, err
	}
	if _, err := os.Stat(n.dir); errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("%s: %w", n.dir, ErrGone)
	}
	return true, n.drain()
}

// drain takes the event, so that the next Wait waits for another.
func (n *Notice) drain() error {
	var b [8]byte
	if n.of != nil {
		if _, err := n.event.Read(b[:]); err != nil && !errors.Is(err, syscall.EAGAIN) {
			return err
		}
		return nil
	}
	var text [4096]byte
	_, err := n.event.ReadAt(text[:], 0)
	if errors.Is(err, syscall.ENODEV) {
		return fmt.Errorf("%s: %w", n.dir, ErrGone)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// Close ends the notice.
func (n *Notice) Close() error {
	err := n.event.Close()
	if n.of != nil {
		err = errors.Join(err, n.of.Close())
	}
	return err
}
