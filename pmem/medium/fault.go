package medium

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// fault is a memory fault that the runtime made a panic (debug.SetPanicOnFault).
type fault interface {
	error
	Addr() uintptr
}

// Guard runs fn. A memory fault in it becomes an [ErrFault], with the offset where it is in
// the medium: a poisoned line, a page that is gone, a store to what [Medium.View] lent. Other
// panics pass. It holds for the calling goroutine, not for those that fn starts.
func (m *Medium) Guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer m.caught("access", 0, 0, &err)
	return fn()
}

// caught makes a fault that panics an error. It is deferred.
func (m *Medium) caught(op string, off, n int64, err *error) {
	r := recover()
	if r == nil {
		return
	}
	f, ok := r.(fault)
	if !ok {
		panic(r)
	}
	if at, ours := m.offsetOf(f.Addr()); ours {
		*err = fail(op, at, max(n-(at-off), 0), ErrFault)
		return
	}
	*err = fail(op, off, n, fmt.Errorf("%w at address %#x, outside the medium", ErrFault, f.Addr()))
}

// IsFault reports whether an error is a memory fault, and at which offset.
func IsFault(err error) (off int64, ok bool) {
	var e *Error
	if !errors.Is(err, ErrFault) || !errors.As(err, &e) {
		return 0, false
	}
	return e.Off, true
}
