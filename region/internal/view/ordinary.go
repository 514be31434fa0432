package view

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// Ordinary is memory of this process that has no guarantee: whatever a check can find, it
// finds here. Every page holds the same pattern.
type Ordinary struct {
	Plain     []byte // a page that was touched
	Untouched []byte // a page that was not
	Mergeable []byte // a page that KSM may share; nil where the kernel has no KSM
	ReadOnly  []byte // a private page without write permission
	// Twice maps File, a memfd that can be written, in two places; nil where a policy allows no
	// memfds, so that what needs it as its control decides nothing.
	Twice  [2][]byte
	File   *os.File
	mapped [][]byte
}

// Pattern is what the pages begin with.
const Pattern = "safevma: ordinary memory"

// NewOrdinary maps it. Close unmaps it.
func NewOrdinary() (*Ordinary, error) {
	o := &Ordinary{}
	err := o.mapAll()
	if err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

// Close unmaps the pages.
func (o *Ordinary) Close() error {
	var errs []error
	for _, b := range o.mapped {
		errs = append(errs, sys.Munmap(b))
	}
	o.mapped = nil
	if o.File != nil {
		errs = append(errs, o.File.Close())
		o.File = nil
	}
	return errors.Join(errs...)
}

func (o *Ordinary) mapAll() error {
	for _, page := range []*[]byte{&o.Plain, &o.Untouched, &o.Mergeable, &o.ReadOnly} {
		prot := sys.ProtRead | sys.ProtWrite
		if page == &o.Untouched {
			prot = sys.ProtNone // for now, so that not even mlockall(2) brings it in
		}
		b, err := o.page(prot, sys.MapPrivate|sys.MapAnonymous, -1)
		if err != nil {
			return err
		}
		// Alone in its VMA, and never part of a huge page.
		_ = sys.Madvise(b, sys.MadvNohugepage) // refused by a kernel without huge pages
		if page != &o.Untouched {
			copy(b, Pattern)
		} else if err := sys.Mprotect(b, sys.ProtRead); err != nil { // else it could pass for a guard
			return fmt.Errorf("mprotect: %w", err)
		}
		*page = b
	}
	if sys.Madvise(o.Mergeable, sys.MadvMergeable) != nil {
		o.Mergeable = nil
	}
	if err := sys.Mprotect(o.ReadOnly, sys.ProtRead); err != nil {
		return fmt.Errorf("mprotect: %w", err)
	}
	return o.mapTwice()
}

// mapTwice maps a file in two places.
func (o *Ordinary) mapTwice() (err error) {
	if o.File, err = sys.MemfdCreate("ordinary", sys.MfdNoexecSeal); errors.Is(err, syscall.EINVAL) {
		o.File, err = sys.MemfdCreate("ordinary", 0) // before Linux 6.3
	}
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENOSYS) {
		o.File = nil
		return nil
	}
	if err != nil {
		return err
	}
	if err := o.File.Truncate(int64(os.Getpagesize())); err != nil {
		return err
	}
	for i := range o.Twice {
		if o.Twice[i], err = o.page(sys.ProtRead|sys.ProtWrite, sys.MapShared, int(o.File.Fd())); err != nil {
			return err
		}
		copy(o.Twice[i], Pattern)
	}
	return nil
}

func (o *Ordinary) page(prot, flags, fd int) ([]byte, error) {
	b, err := sys.Mmap(os.Getpagesize(), prot, flags, fd, 0)
	if err != nil {
		return nil, fmt.Errorf("mmap: %w", err)
	}
	o.mapped = append(o.mapped, b)
	_ = sys.Munlock(b) // it is locked where the process locks all: mlockall(2). A policy may forbid this
	return b, nil
}
