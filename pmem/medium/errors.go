package medium

import (
	"errors"
	"fmt"
)

var (
	// ErrRange reports bytes outside the medium.
	ErrRange = errors.New("outside the medium")
	// ErrAlign reports an offset or a length that is no multiple of 8 where it must be one.
	ErrAlign = errors.New("not a multiple of 8")
	// ErrReadOnly reports a change of a medium that was opened to be read, or is closed.
	ErrReadOnly = errors.New("the medium is not open for writing")
	// ErrClosed reports a medium that is closed.
	ErrClosed = errors.New("the medium is closed")
	// ErrSync reports a sync that failed: what it covered is durable or lost for ever, and no
	// later sync tells which.
	ErrSync = errors.New("sync failed")
	// ErrShort reports a write that stopped half-way. What it covered may be there in part.
	ErrShort = errors.New("short write")
	// ErrFault reports memory that can't be accessed: a poisoned line, a page that the device
	// can't read, a file that was cut off, or a store to what is read-only.
	ErrFault = errors.New("memory fault")
)

// Error is a failure at a place of the medium. [errors.Is] finds its cause: one of the errors
// of this package, and the errno where there is one (ENOSPC, EIO).
type Error struct {
	Op       string // what failed, such as "persist"
	Off, Len int64  // where
	Err      error
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s of %d bytes at offset %d: %v", e.Op, e.Len, e.Off, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func fail(op string, off, n int64, err error) error {
	if err == nil {
		return nil
	}
	return &Error{op, off, n, err}
}
