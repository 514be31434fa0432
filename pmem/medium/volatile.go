package medium

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/pmem/medium/internal/line"
)

// NewVolatile returns a medium of zeros that ends with the process: for structures that want
// transactions without durability, and for tests. It can be extended to most bytes. Sizes are
// multiples of 8.
//
// In a program built with -race it lives on the Go heap and is written with ordinary Go
// stores, since the race detector does not see mapped memory; it has no read-only view then.
func NewVolatile(size, most int64) (*Medium, error) {
	if size%Word != 0 || most%Word != 0 {
		return nil, fail("new volatile medium", 0, size, ErrAlign)
	}
	if size < Word || most < size {
		return nil, fail("new volatile medium", 0, size, fmt.Errorf("%w: from %d to at most %d bytes", ErrRange, Word, most))
	}
	if raceEnabled {
		return newOnHeap(size, most), nil
	}
	m := new(Medium)
	var err error
	if m.file, err = memfd(); err == nil {
		err = allocate(m.file, 0, size)
	}
	if err == nil {
		err = m.open(size, Options{Most: most})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("new volatile medium: %w", err), m.Close())
	}
	m.info.Domain = "none: it ends with the process"
	return m, nil
}

// memfd makes memory that can't be executed, nor become shorter under its mappings.
func memfd() (*os.File, error) {
	f, err := sys.MemfdCreate("safevma-volatile", sys.MfdNoexecSeal|sys.MfdAllowSealing)
	if errors.Is(err, syscall.EINVAL) { // before Linux 6.3
		f, err = sys.MemfdCreate("safevma-volatile", sys.MfdAllowSealing)
	}
	if err != nil {
		return nil, err
	}
	return f, sys.AddSeals(f, sys.SealShrink)
}

func newOnHeap(size, most int64) *Medium {
	memory := make([]byte, most)
	m := &Medium{way: volatile, alias: memory, view: memory}
	m.info = Info{Kind: Volatile, Domain: "none: it ends with the process", Found: "on the Go heap, for the race detector",
		Flush: "none", Stream: "none", Unit: line.Size, Atom: Word, PageSize: os.Getpagesize(), Node: -1, ThreadNode: -1}
	m.size.Store(size)
	return m
}
