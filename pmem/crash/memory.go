package crash

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"

	"github.com/safevma/safevma/pmem/crash/state"
)

var (
	// ErrBypassed reports that the bytes of the medium changed without a store through it.
	ErrBypassed = errors.New("a store went past the medium")
	// ErrSteps reports a recovery that does not come to an end.
	ErrSteps = errors.New("recovery does not end")
)

// memory is the medium that workloads and recoveries run on: bytes, and whoever wants to
// know what is done to them.
type memory struct {
	image []byte
	watch watcher
	next  int // thread of the next call that is not made through a pinned handle
}

// watcher hears of each call before it takes effect.
type watcher interface {
	event(e *Event) error
	read(off, n int64) error
}

// anonymous returns a thread of its own for one call: goroutines move, so nothing that one
// call did counts for another.
func (m *memory) anonymous() int {
	m.next++
	return m.next << 16
}

// do hears, checks and applies one event.
func (m *memory) do(e Event) error {
	n := max(e.Len, int64(len(e.Data)))
	if e.Off < 0 || n < 0 || e.Off > int64(len(m.image))-n {
		return fmt.Errorf("%d bytes at %d of %d: %w", n, e.Off, len(m.image), state.ErrRange)
	}
	if err := m.watch.event(&e); err != nil {
		return err
	}
	copy(m.image[e.Off:], e.Data)
	return nil
}

// look lends bytes of the medium, and takes them as read.
func (m *memory) look(off, n int64) ([]byte, error) {
	if off < 0 || n < 0 || off > int64(len(m.image))-n {
		return nil, fmt.Errorf("%d bytes at %d of %d: %w", n, off, len(m.image), state.ErrRange)
	}
	if err := m.watch.read(off, n); err != nil {
		return nil, err
	}
	return m.image[off : off+n : off+n], nil
}

// callers returns where the user's code made the call.
func callers(skip int) []uintptr {
	pcs := make([]uintptr, 16)
	return pcs[:runtime.Callers(skip+2, pcs)]
}

// differs returns where two images differ first.
func differs(a, b []byte) (int64, bool) {
	if bytes.Equal(a, b) {
		return 0, false
	}
	for i := range a {
		if a[i] != b[i] {
			return int64(i), true
		}
	}
	return 0, false
}
