package slab

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/safevma/safevma/kernel/process"
)

// Errors that a caller acts on; the others carry the text that made no sense.
var (
	// ErrAbsent: this kernel has no such interface.
	ErrAbsent = errors.New("absent")
	// ErrDenied: the kernel does not let this reader see it.
	ErrDenied = process.ErrDenied
	// ErrMalformed: the text is not what the kernel's documentation says.
	ErrMalformed = process.ErrMalformed
)

// FS is where the kernel shows its caches.
type FS struct{ sys, proc string }

// Default is the running kernel's, below /sys and /proc.
func Default() FS { return At("/sys", "/proc") }

// At is FS at other places, for tests and copied trees.
func At(sys, proc string) FS { return FS{sys: filepath.Clean(sys), proc: filepath.Clean(proc)} }

// Dir is the directory of the caches.
func (f FS) Dir() string { return filepath.Join(f.sys, "kernel", "slab") }

// Cache is one cache, under all its names.
type Cache struct {
	// ID is the name of its directory: its own, or such as ":A-0000192" where it can be
	// merged. The letters are d DMA, D DMA32, a reclaimable, F checked, A charged to
	// memory cgroups; the number is the size of a slot.
	ID string `json:"id"`
	// Names lead to it, in ascending order. A cache that can't be merged has one.
	Names []string `json:"names"`
	// Detail is what is in it; nil where it is hidden.
	Detail *Detail `json:"detail"`
	// Hidden says why Detail is nil: wraps [ErrDenied], or is what failed.
	Hidden error `json:"-"`
}

// Merged reports whether several names share the cache.
func (c *Cache) Merged() bool { return len(c.Names) > 1 }

// List returns all caches, with their details where they can be read, in the order of
// their IDs. That takes some ten milliseconds for root.
func (f FS) List() ([]Cache, error) {
	caches, err := f.Names()
	if err != nil {
		return nil, err
	}
	present := caches[:0]
	for _, c := range caches {
		detail, err := f.detail(c.ID)
		if errors.Is(err, ErrAbsent) {
			continue // its module was unloaded
		}
		c.Detail, c.Hidden = detail, err
		present = append(present, c)
	}
	return present, nil
}

// Names is List without details: who shares what. Everybody may.
func (f FS) Names() ([]Cache, error) {
	entries, err := os.ReadDir(f.Dir())
	if err != nil {
		return nil, classify(err)
	}
	names := map[string][]string{}
	for _, entry := range entries {
		id, name := entry.Name(), entry.Name()
		if entry.Type()&os.ModeSymlink != 0 {
			target, err := os.Readlink(filepath.Join(f.Dir(), name))
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, classify(err)
			}
			if id = filepath.Base(target); id == "." || id == ".." || strings.ContainsRune(id, filepath.Separator) {
				return nil, fmt.Errorf("%s: %w: leads to %q", filepath.Join(f.Dir(), name), ErrMalformed, target)
			}
		}
		if names[id] == nil {
			names[id] = []string{}
		}
		if !strings.HasPrefix(name, ":") { // a directory that only links lead to has no name of its own
			names[id] = append(names[id], name)
		}
	}
	return cachesOf(names), nil
}

func cachesOf(names map[string][]string) []Cache {
	caches := make([]Cache, 0, len(names))
	for id, all := range names {
		slices.Sort(all)
		caches = append(caches, Cache{ID: id, Names: all})
	}
	slices.SortFunc(caches, func(a, b Cache) int { return cmp.Compare(a.ID, b.ID) })
	return caches
}

// Find returns the cache that a name, or an ID, leads to.
func (f FS) Find(name string) (Cache, error) {
	caches, err := f.Names()
	if err != nil {
		return Cache{}, err
	}
	for _, c := range caches {
		if c.ID == name || slices.Contains(c.Names, name) {
			c.Detail, c.Hidden = f.detail(c.ID)
			return c, nil
		}
	}
	return Cache{}, fmt.Errorf("%s: %w: no cache is called %q", f.Dir(), ErrAbsent, name)
}

// classify makes a typed reason of the errnos that mean one, and keeps the error.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: %w", ErrAbsent, err)
	}
	return process.Classify(err)
}
