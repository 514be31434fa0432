package slab

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/safevma/safevma/internal/sys"
)

// listed reads them once: it takes seconds where the machine is an emulated one.
var listed = sync.OnceValues(func() ([]Cache, error) { return Default().List() })

// live returns the caches of this kernel.
func live(t *testing.T) []Cache {
	t.Helper()
	list, err := listed()
	if errors.Is(err, ErrAbsent) {
		t.Skip("this kernel shows no caches in sysfs (CONFIG_SYSFS, SLUB_TINY)")
	}
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func skipHidden(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, ErrDenied) || errors.Is(err, ErrAbsent) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Every cache that the kernel shows is read whole, or hidden from those without rights.
func TestLive(t *testing.T) {
	list := live(t)
	names := map[string]bool{}
	for _, c := range list {
		if c.Hidden != nil && (os.Geteuid() == 0 || !errors.Is(c.Hidden, ErrDenied)) {
			t.Errorf("%s: %v", c.ID, c.Hidden)
		}
		for _, name := range c.Names {
			if names[name] {
				t.Errorf("%s leads to two caches", name)
			}
			names[name] = true
		}
	}
	if !names["kmalloc-64"] || !names["task_struct"] {
		t.Errorf("of %d names none is kmalloc-64 or task_struct", len(names))
	}
}

// The two interfaces agree: each line of slabinfo is a cache of sysfs, with its sizes.
func TestInterfacesAgree(t *testing.T) {
	live(t)
	lines, err := Default().Info()
	skipHidden(t, err)
	byName := map[string]Cache{}
	for _, c := range live(t) {
		for _, name := range c.Names {
			byName[name] = c
		}
	}
	compared := 0
	for _, line := range lines {
		c, ok := byName[line.Name]
		if !ok || c.Detail == nil {
			continue // its module came or went
		}
		compared++
		if c.Detail.SlabSize != line.Size || c.Detail.PerSlab != line.PerSlab || uint64(1)<<c.Detail.Order != line.Pages {
			t.Errorf("%s: slabinfo %+v, sysfs %+v", line.Name, line, c.Detail)
		}
	}
	if compared < len(lines)*9/10 {
		t.Errorf("of %d lines of slabinfo, sysfs has %d", len(lines), compared)
	}
}

// Objects that were made are seen, and that they were given back; on another CPU, too.
func TestExercise(t *testing.T) {
	cpus, err := sys.CPUs()
	if err != nil || len(cpus) == 0 {
		t.Fatal(cpus, err)
	}
	const made = 2000
	dir := t.TempDir()
	for _, to := range slices.Compact([]int{cpus[0], cpus[len(cpus)-1]}) {
		e, err := Default().Exercise(context.Background(), dir, made, cpus[0], to)
		if errors.Is(err, os.ErrInvalid) || sys.ErrnoName(err) == "EOPNOTSUPP" {
			t.Skip(err)
		}
		skipHidden(t, err)
		t.Logf("%+v", e)
		if !e.Seen() {
			t.Errorf("%d objects, and the count went from %d to %d", made, e.Before.Objects, e.Full.Objects)
		}
		if e.After.Objects >= e.Full.Objects {
			t.Errorf("given back, and the count went from %d to %d", e.Full.Objects, e.After.Objects)
		}
	}
	if now, err := sys.CPUs(); err != nil || !slices.Equal(now, cpus) {
		t.Errorf("the thread may run on %v, before on %v: %v", now, cpus, err)
	}
}

// The control: objects that were not made are not seen.
func TestExerciseCanFail(t *testing.T) {
	e := Exercise{Made: 2000, Before: State{Objects: 100}, Full: State{Objects: 200}}
	if e.Seen() {
		t.Error("seen")
	}
}
