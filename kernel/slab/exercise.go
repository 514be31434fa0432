package slab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/safevma/safevma/internal/sys"
)

// Exercise is what the allocator did with objects that this process made on one CPU and
// gave back on another, or on the same: an experiment on the running kernel that leaves
// nothing behind and needs no right but reading the lists.
type Exercise struct {
	// Cache is the ID of the cache with the objects, Name what they are called.
	Cache string `json:"cache"`
	Name  string `json:"name"`
	// Made objects on CPU From, all given back on CPU To.
	Made int `json:"made"`
	From int `json:"allocated_on"`
	To   int `json:"freed_on"`
	// The lists before, with the objects, and when they had been given back.
	Before State `json:"before"`
	Full   State `json:"full"`
	After  State `json:"after"`
}

// State is the lists of a cache at a moment.
type State struct {
	Objects    uint64    `json:"objects"`
	Slabs      uint64    `json:"slabs"`
	Partial    uint64    `json:"partial"`
	CPUSlabs   uint64    `json:"cpu_slabs"`
	CPUPartial []CPUList `json:"cpu_partial"`
}

// exercised is a cache that a process without rights can put objects in, one by one, and
// take them out at once: locks on bytes of a file of its own (F_OFD_SETLK).
const exercised = "file_lock_cache"

// Seen reports whether the reading showed the objects: the control of the experiment.
// Free places in slabs of a CPU count as used before, so some of the objects may not.
func (e *Exercise) Seen() bool {
	return e.Full.Objects >= e.Before.Objects+uint64(e.Made)/2
}

// Exercise makes n locks on a file without a name in dir, on CPU from, and gives them
// back on CPU to. It wraps [ErrDenied] where the lists can't be read. The numbers also
// hold what others do with the cache at the same time.
func (f FS) Exercise(ctx context.Context, dir string, n, from, to int) (*Exercise, error) {
	cache, err := f.Find(exercised)
	if err != nil {
		return nil, err
	}
	if cache.Hidden != nil {
		return nil, cache.Hidden
	}
	file, err := sys.TempFile(dir)
	if err != nil {
		return nil, err
	}
	defer file.Close() // and with it the locks, whatever happens
	e := &Exercise{Cache: cache.ID, Name: exercised, Made: n, From: from, To: to}
	return e, f.exercise(ctx, file, e)
}

func (f FS) exercise(ctx context.Context, file *os.File, e *Exercise) (err error) {
	runtime.LockOSThread()
	allowed, err := sys.CPUs()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		back := sys.RunOn(allowed...)
		if back == nil { // a thread that can't be set back ends with its goroutine
			runtime.UnlockOSThread()
		}
		err = errors.Join(err, back)
	}()
	if err := sys.RunOn(e.From); err != nil {
		return fmt.Errorf("CPU %d: %w", e.From, err)
	}
	if e.Before, err = f.state(e.Cache); err != nil {
		return err
	}
	for i := range e.Made {
		if err := sys.LockBytes(file, int64(2*i), 1); err != nil { // two neighbours would become one lock
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if e.Full, err = f.state(e.Cache); err != nil {
		return err
	}
	if err := sys.RunOn(e.To); err != nil {
		return fmt.Errorf("CPU %d: %w", e.To, err)
	}
	if err := sys.UnlockBytes(file, 0, 0); err != nil {
		return err
	}
	e.After, err = f.state(e.Cache)
	return err
}

func (f FS) state(id string) (State, error) {
	d, err := f.detail(id)
	if err != nil {
		return State{}, err
	}
	sum := func(c *Count) uint64 {
		if c == nil {
			return 0
		}
		return c.Sum
	}
	if d.Objects == nil || d.Slabs == nil {
		return State{}, fmt.Errorf("%s: %w: objects are not counted (CONFIG_SLUB_DEBUG)", id, ErrAbsent)
	}
	return State{Objects: sum(d.Objects), Slabs: sum(d.Slabs), Partial: sum(d.Partial), CPUSlabs: sum(d.CPUSlabs), CPUPartial: d.CPUPartial}, nil
}
