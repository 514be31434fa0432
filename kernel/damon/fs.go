package damon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/safevma/safevma/kernel/process"
)

// Errors that a caller acts on.
var (
	// ErrAbsent: this kernel has no DAMON, or no such part of it.
	ErrAbsent = errors.New("no DAMON here")
	// ErrIncomplete: a file is missing that every kernel with this part has: somebody
	// changed the tree while it was read.
	ErrIncomplete = errors.New("a file is missing: the tree was changed meanwhile")
	// ErrDenied: the kernel does not let this reader see it. The interface is root's.
	ErrDenied = process.ErrDenied
	// ErrMalformed: the text is not what the kernel's documentation says.
	ErrMalformed = process.ErrMalformed
)

// Error is what was wrong with one file.
type Error struct {
	File string
	Err  error
}

// Error implements error.
func (e *Error) Error() string { return e.File + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// FS is where the kernel shows DAMON.
type FS struct {
	sys  string
	tree tree
	// patience is for how long a file may be busy.
	patience time.Duration
	// run has the record of what was set up here; empty where nothing can be.
	run string
}

// Default is the running kernel's, below /sys.
func Default() FS {
	f := At("/sys")
	f.run = "/run/safevma"
	return f
}

// At is FS at another place, for tests and copied trees.
func At(sys string) FS {
	return FS{sys: filepath.Clean(sys), tree: sysfs{}, patience: 10 * time.Second}
}

// Admin is the directory of the sysfs interface.
func (f FS) Admin() string { return f.path("kernel", "mm", "damon", "admin") }

func (f FS) path(elem ...string) string { return filepath.Join(append([]string{f.sys}, elem...)...) }

// readText reads a file of one or more lines, without the last newline.
func (f FS) readText(path string) (string, error) {
	var text string
	err := f.patiently(func() (err error) { text, err = f.tree.read(path); return err }, func() bool { return false })
	if err != nil {
		return "", failed(path, err)
	}
	return strings.TrimSuffix(text, "\n"), nil
}

// exists looks for a file or a directory.
func (f FS) exists(path string) (bool, error) {
	err := f.tree.stat(path)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return err == nil, nil
	}
	return false, failed(path, err)
}

// failed names the file, once, and says what the errno means.
func failed(path string, err error) error {
	var of *os.PathError
	if errors.As(err, &of) {
		err = of.Err
	}
	switch {
	case errors.Is(err, syscall.ENOENT):
		err = fmt.Errorf("%w: %w", ErrAbsent, err)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		err = fmt.Errorf("%w: %w", ErrDenied, err)
	}
	return &Error{path, err}
}
