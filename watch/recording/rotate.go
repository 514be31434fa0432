package recording

import (
	"errors"
	"os"
	"path/filepath"
)

// Rotating writes recordings of limited length: when one is full it is ended and becomes
// NAME.1, in place of the one before, and a new one begins. So at least the last Most
// bytes are kept.
type Rotating struct {
	*Writer
	Name string
	Most int64 // 0 is no limit
	// Begin writes what each file begins with.
	Begin func(*Writer) error
}

// NewRotating makes the first file. Neither it nor, with a limit, the one that it will become
// may exist ([os.ErrExist]).
func NewRotating(name string, most int64, begin func(*Writer) error) (*Rotating, error) {
	r := &Rotating{Name: name, Most: most, Begin: begin}
	if most > 0 {
		if _, err := os.Lstat(r.Old()); err == nil {
			return r, &os.PathError{Op: "create", Path: r.Old(), Err: os.ErrExist}
		}
	}
	return r, r.open()
}

func (r *Rotating) open() (err error) {
	if r.Writer, err = Create(r.Name); err != nil {
		return err
	}
	return r.Begin(r.Writer)
}

// Old is the name of the file before this one.
func (r *Rotating) Old() string { return r.Name + ".1" }

// Turn begins a new file where this one is full; end is the last entry of the old one.
func (r *Rotating) Turn(end End) (turned bool, err error) {
	if r.Most == 0 || r.Size() < r.Most {
		return false, nil
	}
	if err := r.Close(end); err != nil {
		return false, err
	}
	if err := os.Rename(r.Name, r.Old()); err != nil {
		return false, err
	}
	return true, errors.Join(syncDirectory(filepath.Dir(r.Name)), r.open())
}
