package mglru

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/safevma/safevma/kernel/process"
)

// Errors that a caller acts on.
var (
	// ErrAbsent: this kernel was built without the multi-generational LRU, or debugfs is
	// not mounted.
	ErrAbsent = errors.New("no multi-generational LRU here")
	// ErrDenied: the kernel does not let this reader see it.
	ErrDenied = process.ErrDenied
	// ErrMalformed: the text is not what the kernel's documentation says.
	ErrMalformed = process.ErrMalformed
)

// FS is where the kernel shows the LRU.
type FS struct{ sys string }

// Default is the running kernel's, below /sys.
func Default() FS { return At("/sys") }

// At is FS at another place, for tests and copied trees.
func At(sys string) FS { return FS{filepath.Clean(sys)} }

func (f FS) path(elem ...string) string { return filepath.Join(append([]string{f.sys}, elem...)...) }

// Components are the parts of the LRU that can be switched.
type Components uint64

// The components, by the bits of /sys/kernel/mm/lru_gen/enabled.
const (
	Main      Components = 1 << 0 // the LRU itself
	LeafBatch Components = 1 << 1 // clears the accessed bits of many pages at once
	NonLeaf   Components = 1 << 2 // also looks at the bits of the tables above
)

// Has reports whether all of want are on.
func (c Components) Has(want Components) bool { return c&want == want }

// Settings are what is switched.
type Settings struct {
	// Enabled is 0 where the kernel reclaims by the older lists.
	Enabled Components
	// MinTTL is how long pages stay that were used within: the kernel kills a process
	// rather than to reclaim them. 0 is off.
	MinTTL time.Duration
}

// Settings reads /sys/kernel/mm/lru_gen. Everybody may.
func (f FS) Settings() (Settings, error) {
	enabled, err := f.number(0, "kernel", "mm", "lru_gen", "enabled")
	if err != nil {
		return Settings{}, err
	}
	ttl, err := f.number(10, "kernel", "mm", "lru_gen", "min_ttl_ms")
	if ttl > uint64(1<<62/time.Millisecond) {
		ttl = uint64(1 << 62 / time.Millisecond)
	}
	return Settings{Enabled: Components(enabled), MinTTL: time.Duration(ttl) * time.Millisecond}, err
}

func (f FS) number(base int, elem ...string) (uint64, error) {
	path := f.path(elem...)
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, classify(err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), base, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w: %q", path, ErrMalformed, text)
	}
	return n, nil
}

func classify(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrAbsent, err)
	}
	return process.Classify(err)
}
