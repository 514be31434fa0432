package region

import (
	"errors"
	"strings"
	"syscall"
)

// What is wrong, for errors.Is. The errno of the kernel, where there is one, is in the error
// too.
var (
	// ErrUnsupported reports a guarantee that this kernel, this processor or this privilege
	// can't give.
	ErrUnsupported = errors.New("not supported here")
	// ErrLimit reports a limit that is reached: of locked memory, of mappings, of a budget, of
	// the memory of this machine. Nothing was kept of the attempt.
	ErrLimit = errors.New("limit reached")
	// ErrConflict reports guarantees that exclude each other, and calls that do: a write to
	// read-only memory, or Close while the region is in use.
	ErrConflict = errors.New("conflict")
	// ErrCorrupt reports a canary that was overwritten.
	ErrCorrupt = errors.New("corrupt")
	// ErrClosed reports the use of a closed region.
	ErrClosed = errors.New("closed")
	// ErrSize reports a size below 1.
	ErrSize = errors.New("size")
)

// Error is what every function of this package returns that fails, but for the errors that a
// function given by the caller returned.
type Error struct {
	// Op is the function: "map", "read", "write", "check", "verify", "close".
	Op string
	// Guarantee and Requirement name the guarantee that can't be given, where it is one:
	// "Secret", "SV-LIN-01".
	Guarantee, Requirement string
	// Reason says in words why.
	Reason string
	// Err is one of the errors of this package, joined with the cause where there is one.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("region: " + e.Op)
	if e.Guarantee != "" {
		b.WriteString(": " + e.Guarantee + " (" + e.Requirement + ")")
	}
	if e.Reason != "" {
		b.WriteString(": " + e.Reason)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// cannot is the error of a guarantee that can't be given.
func cannot(of set, reason string, kind, cause error) *Error {
	return about("map", of, reason, both(kind, cause))
}

func about(op string, of set, reason string, err error) *Error {
	return &Error{Op: op, Guarantee: of.String(), Requirement: of.requirement(), Reason: reason, Err: err}
}

// caused has the kind of error, and what it comes from.
type caused struct{ kind, cause error }

func (c caused) Error() string   { return c.kind.Error() + ": " + c.cause.Error() }
func (c caused) Unwrap() []error { return []error{c.kind, c.cause} }

func both(kind, cause error) error {
	if cause == nil {
		return kind
	}
	return caused{kind, cause}
}

// kindOf tells a limit from what the kernel can't do, by the errno of a call that makes memory.
func kindOf(err error) error {
	var errno syscall.Errno
	errors.As(err, &errno)
	switch errno {
	case syscall.ENOMEM, syscall.EAGAIN, syscall.EMFILE, syscall.ENFILE, syscall.ENOSPC, syscall.EFAULT:
		return ErrLimit
	}
	return ErrUnsupported
}
