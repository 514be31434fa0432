package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/process"
)

// Why a fact is unknown. Errors of this package wrap one of these, or an errno.
var (
	// ErrAbsent: this kernel, or this tree, has no such interface. That says nothing
	// of what the interface would have said.
	ErrAbsent = errors.New("absent")
	// ErrDenied: the kernel does not let this reader see it.
	ErrDenied = process.ErrDenied
	// ErrMalformed: the text is not what the kernel's documentation says.
	ErrMalformed = process.ErrMalformed
	// ErrNotLive: it takes an experiment or a system call, and what is read is not the
	// running kernel.
	ErrNotLive = errors.New("not the running kernel")
	// ErrNotRead: nobody has read it.
	ErrNotRead = errors.New("not read")
)

// Reason is why a fact is unknown, in a word.
type Reason string

// The reasons.
const (
	Absent    Reason = "absent"
	Denied    Reason = "denied"
	Malformed Reason = "malformed"
	NotLive   Reason = "not live"
	NotRead   Reason = "not read"
	Failed    Reason = "failed" // any other error
)

// ReasonOf classifies an error of this package. Where several sources were tried, what
// a reader could do something about comes first. There is none for nil.
func ReasonOf(err error) Reason {
	if err == nil {
		return ""
	}
	for _, known := range []struct {
		err    error
		reason Reason
	}{{ErrMalformed, Malformed}, {ErrDenied, Denied}, {ErrNotLive, NotLive}, {ErrNotRead, NotRead}, {ErrAbsent, Absent}} {
		if errors.Is(err, known.err) {
			return known.reason
		}
	}
	return Failed
}

// Value is one fact: what was read, or why it could not be. The zero Value is unknown
// ([ErrNotRead]).
type Value[T any] struct {
	// V is the value. It means nothing unless [Value.Known].
	V T
	// Err says why it is unknown; see [ReasonOf].
	Err    error
	Method guarantee.Method
	// Source is the path or the system call that it comes from.
	Source string
	// Raw is the kernel's text or errno that decides, at most 16 KiB, not escaped:
	// [guarantee.Text] makes it fit for a report.
	Raw string
}

// Known reports whether the fact was read.
func (v Value[T]) Known() bool { return v.Err == nil && v.Method != "" }

// Get returns the value, or why it is unknown.
func (v Value[T]) Get() (T, error) {
	if v.Known() {
		return v.V, nil
	}
	var zero T
	return zero, v.reason()
}

func (v Value[T]) reason() error {
	if v.Err == nil && v.Method == "" {
		return ErrNotRead
	}
	return v.Err
}

// MarshalJSON writes the value, or why it is unknown, with where it comes from. Raw
// text is escaped as [guarantee.Text] does.
func (v Value[T]) MarshalJSON() ([]byte, error) { return json.Marshal(v.fact("")) }

func (v Value[T]) fact(name string) Fact {
	f := Fact{Name: name, Err: v.reason(), Method: v.Method, Source: v.Source, Raw: v.Raw}
	if v.Known() {
		f.Value = v.V
	}
	return f
}

const rawMax = 16 << 10

func known[T any](v T, method guarantee.Method, source, raw string) Value[T] {
	if len(raw) > rawMax {
		raw = raw[:rawMax]
	}
	return Value[T]{V: v, Method: method, Source: source, Raw: raw}
}

func unknown[T any](method guarantee.Method, source, raw string, err error) Value[T] {
	v := known(*new(T), method, source, raw)
	v.Err = classify(err)
	return v
}

// then makes a fact out of another one; it is known where the other one is and f has
// no error. f also returns the text that decides; where it returns none, the other
// fact's stays.
func then[T, U any](v Value[T], f func(T) (u U, raw string, err error)) Value[U] {
	if !v.Known() {
		return unknown[U](v.Method, v.Source, v.Raw, v.reason())
	}
	u, raw, err := f(v.V)
	if raw == "" {
		raw = v.Raw
	}
	if err != nil {
		return unknown[U](v.Method, v.Source, raw, err)
	}
	return known(u, v.Method, v.Source, raw)
}

// inferred marks a fact as one that only follows from what was read.
func (v Value[T]) inferred() Value[T] {
	v.Method = guarantee.Inference
	return v
}

// classify makes a typed reason of the errnos that mean one, and keeps the error.
func classify(err error) error {
	if err == nil || ReasonOf(err) != Failed {
		return err
	}
	for errno, reason := range map[syscall.Errno]error{
		syscall.ENOENT: ErrAbsent, syscall.ENOTDIR: ErrAbsent, syscall.ENOSYS: ErrAbsent,
		syscall.ENODEV: ErrAbsent, syscall.ENXIO: ErrAbsent, syscall.EOPNOTSUPP: ErrAbsent,
		syscall.EACCES: ErrDenied, syscall.EPERM: ErrDenied,
	} {
		if errors.Is(err, errno) {
			return fmt.Errorf("%w: %w", reason, err)
		}
	}
	return err
}

// malformed makes an error that wraps ErrMalformed.
func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// at names the file in an error about its content; errors of the system name it
// themselves.
func at(path string, err error) error {
	var named *fs.PathError
	if err == nil || errors.As(err, &named) {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}
