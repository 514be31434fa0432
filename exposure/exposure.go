// Package exposure says what lies beside the pages of a process in physical memory, as a
// number and as a picture: requirement SV-LIN-02.
//
// The kernel maps all memory, one frame after the other, into its own address space (the
// linear map). A write of the kernel past the end of a slab object, of a page table or of
// a buffer of another process lands in the frame next to it. So a page is exposed where
// the frame before it or behind it is a slab, a page table, or mapped by another process
// alone. Pages of secret memory are not in the linear map: they are counted apart, and
// never exposed.
//
// Frames come from pagemap, what they are from kpageflags, how often they are mapped from
// kpagecount; all of that is for root. It is no snapshot: the kernel moves pages while it
// is read. [Exposure.Moved] says how many did.
//
// What the flags can't tell: free pages on the lists of a CPU look like other memory of
// the kernel ([Neighbours.Kernel]), which is counted, but not called exposure.
//
// Source: Documentation/admin-guide/mm/pagemap.rst.
package exposure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/memfd"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

// ErrHidden: the kernel hides page frames from this reader (CAP_SYS_ADMIN).
var ErrHidden = fmt.Errorf("page frame numbers are hidden: %w (CAP_SYS_ADMIN)", process.ErrDenied)

// Neighbours counts pages by what lies beside them. A page with two neighbours of a kind
// counts once; one with a slab before it and a page table behind it counts in both.
type Neighbours struct {
	// Pages in memory, each frame once.
	Pages uint64 `json:"pages"`
	// Exposed have a slab, a page table or a foreign page as a neighbour.
	Exposed   uint64 `json:"exposed"`
	Slab      uint64 `json:"slab"`
	PageTable uint64 `json:"page_table"`
	Foreign   uint64 `json:"foreign"` // mapped, and not by this process
	// Kernel have other memory of the kernel as a neighbour, or what may be free.
	Kernel uint64 `json:"kernel"`
	// Secret pages are not in the linear map; they are in no other number but Pages.
	Secret uint64 `json:"secret"`
	// Shared are mapped by other processes, too.
	Shared uint64 `json:"shared"`
}

// Row is one VMA with pages in memory.
type Row struct {
	Start, End uint64
	Perm       vma.Perm
	Name       string // as the kernel says it, not escaped
	Secret     bool
	Neighbours Neighbours
}

// Exposure is what lies beside the pages of one process.
type Exposure struct {
	Process guarantee.Subject
	Window  guarantee.Window
	// Total is of the whole process. A frame that is mapped twice counts once here, and
	// in each of its rows.
	Total Neighbours
	Rows  []Row
	// Swapped pages are not in memory, Special ones belong to the kernel's image or to no
	// memory at all (the vDSO, devices, the page of zeroes): in no other number.
	Swapped, Special uint64
	// Moved pages had another frame, or none, when they were read again at the end.
	Moved uint64
	// Memory is the picture of all physical memory.
	Memory Memory
	// Control shows that the reading works.
	Control guarantee.Control
}

// page is a frame that the process maps, and where.
type page struct {
	frame uint64
	row   int32
}

// Read reads the exposure of a process. Errors: [ErrHidden], and those of
// [process.FS.Open] and [vma.Reader.Maps].
func Read(ctx context.Context, proc process.FS, pid int) (*Exposure, error) {
	p, err := proc.Open(pid)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	frames, err := vma.OpenFrames(proc)
	if errors.Is(err, process.ErrDenied) {
		return nil, ErrHidden
	}
	if err != nil {
		return nil, err
	}
	defer frames.Close()
	e := &Exposure{}
	if e.Process, err = subject(p); err != nil {
		return nil, err
	}
	devices, err := memfd.LearnDevices()
	if err != nil {
		return nil, err
	}
	from := now()
	pages, err := e.pagesOf(p, &devices)
	if err != nil {
		return nil, err
	}
	before := statistics(proc)
	sweep := sweep{frames: frames, ram: readRAM(proc), own: pages, exposure: e}
	if err := sweep.all(ctx); err != nil {
		return nil, err
	}
	e.Control = control(proc, frames, &e.Memory, before, statistics(proc))
	e.Moved, err = moved(p, pages, e.Rows)
	if err != nil {
		return nil, err
	}
	e.Rows = slices.DeleteFunc(e.Rows, func(r Row) bool { return r.Neighbours.Pages == 0 })
	e.Window = guarantee.Since(from)
	return e, nil
}

// pagesOf lists the VMAs and the frames behind them.
func (e *Exposure) pagesOf(p *process.Process, devices *memfd.Devices) ([]page, error) {
	var r, maps vma.Reader
	var pages []page
	err := maps.Maps(p, func(v *vma.VMA) error {
		if string(v.Name) == "[vsyscall]" { // outside of what pagemap covers
			return nil
		}
		e.Rows = append(e.Rows, Row{Start: v.Start, End: v.End, Perm: v.Perm, Name: string(v.Name),
			Secret: devices.Classify(v.Dev.Major, v.Dev.Minor, string(v.Name)) == memfd.Secret})
		swapped, err := framesIn(&r, p, v.Start, v.End, int32(len(e.Rows)-1), &pages)
		e.Swapped += swapped
		return err
	})
	slices.SortFunc(pages, page.compare)
	return pages, err
}

func (a page) compare(b page) int {
	return cmp.Or(cmp.Compare(a.frame, b.frame), cmp.Compare(a.row, b.row))
}

// framesIn appends the frames behind one VMA, and counts pages in swap.
func framesIn(r *vma.Reader, p *process.Process, start, end uint64, row int32, pages *[]page) (swapped uint64, err error) {
	err = eachPage(r, p, start, end, func(_ uint64, entry vma.Page) error {
		switch frame := entry.Frame(); {
		case entry.Swapped():
			swapped++
		case entry.Present() && frame == 0:
			return ErrHidden
		case entry.Present():
			*pages = append(*pages, page{frame, row})
		}
		return nil
	})
	return swapped, err
}

// eachPage calls fn for the pages that are present or swapped, passing over what is
// empty where the kernel helps with that.
func eachPage(r *vma.Reader, p *process.Process, start, end uint64, fn func(uint64, vma.Page) error) error {
	var inner vma.Reader
	err := r.Scan(p, start, end, vma.Present|vma.Swapped, func(run vma.Run) error {
		return inner.Pages(p, run.Start, run.End, fn)
	})
	if errors.Is(err, vma.ErrUnsupported) {
		return r.Pages(p, start, end, fn)
	}
	return err
}

// moved reads the frames again, and counts the pages that are not any more where they were.
func moved(p *process.Process, before []page, rows []Row) (uint64, error) {
	var r vma.Reader
	var after []page
	for i := range rows {
		if _, err := framesIn(&r, p, rows[i].Start, rows[i].End, int32(i), &after); err != nil {
			return 0, err
		}
	}
	slices.SortFunc(after, page.compare)
	return missing(before, after), nil
}

// missing counts what of the first list is not in the second; both are in order.
func missing(first, second []page) (n uint64) {
	for _, one := range first {
		for len(second) > 0 && second[0].compare(one) < 0 {
			second = second[1:]
		}
		if len(second) > 0 && second[0] == one {
			second = second[1:]
			continue
		}
		n++
	}
	return n
}
