package medium

import (
	"errors"
	"os"

	"github.com/safevma/safevma/internal/sys"
)

// guard is how much before and after a mapping can't be accessed, at least, and to what
// mappings are aligned, so that huge pages fit.
const guard = 2 << 20

// mapping is where the file is mapped: twice, each in a range of addresses of its own that
// is reserved, and can't be accessed where the file is not.
type mapping struct {
	areas [][]byte // the ranges with their guards
	flags int      // of the mappings of the file
	// broken: a mapping failed, and with it some kernels drop the reservation. Others may map
	// there now, so nothing is placed or released in the ranges any more.
	broken bool
}

var errBroken = errors.New("an earlier extension could not be mapped: open the file anew")

// reserve takes addresses for most bytes, between guards.
func (a *mapping) reserve(most int64) ([]byte, error) {
	area, err := sys.Mmap(int(most)+3*guard, sys.ProtNone, sys.MapPrivate|sys.MapAnonymous|sys.MapNoreserve, -1, 0)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	a.areas = append(a.areas, area)
	first := (sys.Addr(area)+2*guard-1)&^(guard-1) - sys.Addr(area)
	return area[first : int64(first)+most : int64(first)+most], nil
}

// release unmaps everything.
func (a *mapping) release() error {
	if a.broken {
		return nil
	}
	var errs []error
	for _, area := range a.areas {
		errs = append(errs, os.NewSyscallError("munmap", sys.Munmap(area)))
	}
	a.areas = nil
	return errors.Join(errs...)
}

// pages rounds up to whole pages.
func pages(n int64) int64 {
	page := int64(os.Getpagesize())
	return (n + page - 1) &^ (page - 1)
}

// place maps the file from one offset to another, in both places.
func (m *Medium) place(from, to int64) error {
	from &^= int64(os.Getpagesize()) - 1
	to = pages(to)
	err := m.placeOne(m.view, m.reader, sys.ProtRead, from, to)
	if err == nil && m.alias != nil {
		err = m.placeOne(m.alias, m.file, sys.ProtRead|sys.ProtWrite, from, to)
	}
	return err
}

func (m *Medium) placeOne(where []byte, f *os.File, prot int, from, to int64) error {
	if m.mapping.broken {
		return errBroken
	}
	err := sys.MmapAt(where[from:to], prot, m.mapping.flags, int(f.Fd()), from)
	m.mapping.broken = err != nil
	return os.NewSyscallError("mmap", err)
}

// grow makes the file longer, allocated, and maps what is new.
func (m *Medium) grow(size int64) error {
	old := m.size.Load()
	if m.file == nil {
		return nil // on the heap
	}
	if err := allocate(m.file, old, size); err != nil {
		return errors.Join(err, m.cutBack(old))
	}
	return m.place(old, size)
}

// cutBack gives back what an allocation took that failed half-way, as it does on ext4.
func (m *Medium) cutBack(size int64) error {
	st, err := m.file.Stat()
	if err == nil && st.Size() > size {
		err = m.file.Truncate(size)
	}
	return err
}
