package vma

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
)

// PageSize is the size of a base page in bytes: the unit of pagemap.
var PageSize = uint64(os.Getpagesize())

// Page is an entry of /proc/PID/pagemap, as the kernel encodes it
// (Documentation/admin-guide/mm/pagemap.rst).
//
//	63 present   62 swapped   61 file page or shared anonymous   58 guard region
//	57 userfaultfd write-protected   56 mapped once only   54–0 page frame number
type Page uint64

// Present reports whether the page is in memory.
func (p Page) Present() bool { return p>>63&1 != 0 }

// Swapped reports whether it is in swap.
func (p Page) Swapped() bool { return p>>62&1 != 0 }

// File reports whether it belongs to a file or to shared anonymous memory.
func (p Page) File() bool { return p>>61&1 != 0 }

// Guard reports whether it is a guard page (MADV_GUARD_INSTALL; Linux 6.15).
func (p Page) Guard() bool { return p>>58&1 != 0 }

// Exclusive reports whether it is mapped once only (Linux 4.2).
func (p Page) Exclusive() bool { return p>>56&1 != 0 }

// Frame returns the page frame number. It is 0 where the page is not present, and
// for a reader without CAP_SYS_ADMIN.
func (p Page) Frame() uint64 {
	if !p.Present() {
		return 0
	}
	return uint64(p) & (1<<55 - 1)
}

const pagesAtOnce = 512

// Pages calls fn with each page of [start, end), both in bytes and page-aligned.
func (r *Reader) Pages(p *process.Process, start, end uint64, fn func(addr uint64, page Page) error) error {
	if (start|end)%PageSize != 0 {
		return fmt.Errorf("%s: range %x-%x is not made of pages", p.Path("pagemap"), start, end)
	}
	return withMemory(p, "pagemap", func(f *os.File) error { return r.pagesOf(p, f, start, end, fn) })
}

func (r *Reader) pagesOf(p *process.Process, f *os.File, start, end uint64, fn func(addr uint64, page Page) error) error {
	if r.pages == nil {
		r.pages = make([]byte, 8*pagesAtOnce)
	}
	for addr := start; addr < end; {
		buf := r.pages[:8*min(pagesAtOnce, (end-addr)/PageSize)]
		if _, err := f.ReadAt(buf, int64(addr/PageSize*8)); err != nil {
			return pagemapError(p, f, err, addr == start)
		}
		for ; len(buf) > 0; buf, addr = buf[8:], addr+PageSize {
			if err := fn(addr, Page(binary.NativeEndian.Uint64(buf))); err != nil {
				return err
			}
		}
	}
	return nil
}

// pagemapError: a read that ends, and a scan that says ESRCH, are of an address space
// that is gone.
func pagemapError(p *process.Process, f *os.File, err error, first bool) error {
	switch {
	case !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ESRCH):
		return p.Wrap(f.Name(), err)
	case first:
		return fmt.Errorf("%s: %w", p.Path(f.Name()), ErrNoAddressSpace)
	}
	return fmt.Errorf("%s: %w", p.Path(f.Name()), process.ErrGone)
}

// Category is a set of properties that [Reader.Scan] can look for.
type Category uint64

// The categories of PAGEMAP_SCAN.
const (
	Written  Category = sys.PageIsWritten // since write protection was set (userfaultfd)
	File     Category = sys.PageIsFile
	Present  Category = sys.PageIsPresent
	Swapped  Category = sys.PageIsSwapped
	ZeroPage Category = sys.PageIsPFNZero
	Huge     Category = sys.PageIsHuge
)

// Run is a run of pages that have the same categories.
type Run struct {
	Start, End uint64 // [Start, End) in bytes
	Category   Category
}

const runsAtOnce = 256

// Scan calls fn for each run of pages in [start, end) that is in any of the given
// categories, by PAGEMAP_SCAN (Linux 6.7). It needs no frame numbers, so no
// privilege beyond reading pagemap. On older kernels it fails with [ErrUnsupported].
func (r *Reader) Scan(p *process.Process, start, end uint64, any Category, fn func(Run) error) error {
	return withMemory(p, "pagemap", func(f *os.File) error { return r.scanOf(p, f, start, end, any, fn) })
}

func (r *Reader) scanOf(p *process.Process, f *os.File, start, end uint64, any Category, fn func(Run) error) error {
	if r.runs == nil {
		r.runs = make([]sys.PageRegion, runsAtOnce)
	}
	for addr := start; addr < end; {
		n, next, err := sys.PagemapScan(f, addr, end, uint64(any), uint64(any), r.runs)
		switch {
		case errors.Is(err, syscall.ENOTTY):
			return fmt.Errorf("%s: PAGEMAP_SCAN: %w", p.Path(f.Name()), ErrUnsupported)
		case err != nil:
			return pagemapError(p, f, err, addr == start)
		case next <= addr:
			return fmt.Errorf("%s: PAGEMAP_SCAN does not advance from %x", p.Path(f.Name()), addr)
		}
		for _, run := range r.runs[:n] {
			if err := fn(Run{Start: run.Start, End: run.End, Category: Category(run.Categories)}); err != nil {
				return err
			}
		}
		addr = next
	}
	return nil
}
