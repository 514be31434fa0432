package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

// pageCount is how many pages of a VMA are in memory, are not, and are guards.
type pageCount struct{ present, absent, guard uint64 }

// countPages counts what is behind a VMA. It also sees pages that Rss leaves out: of
// hugetlbfs and DAX. The scan passes over what is empty without looking at each page:
// reservations of gigabytes are common. Only pagemap tells guards from other pages that
// are absent, and a VMA without the flag has none.
func countPages(r *vma.Reader, p *process.Process, v *vma.VMA) (*pageCount, error) {
	n := pageCount{absent: v.Size() / vma.PageSize}
	if !v.Flags.Has(vma.FlagGuard) {
		err := r.Scan(p, v.Start, v.End, vma.Present, func(run vma.Run) error {
			pages := (run.End - run.Start) / vma.PageSize
			n.present, n.absent = n.present+pages, n.absent-pages
			return nil
		})
		if !errors.Is(err, vma.ErrUnsupported) {
			return &n, err
		}
	}
	err := r.Pages(p, v.Start, v.End, func(_ uint64, page vma.Page) error {
		switch {
		case page.Present():
			n.present, n.absent = n.present+1, n.absent-1
		case page.Guard():
			n.guard, n.absent = n.guard+1, n.absent-1
		}
		return nil
	})
	return &n, err
}

// foreignPages are the pages of a VMA that another process maps too.
type foreignPages struct {
	of     int    // process id
	count  uint64 // pages
	owners []int  // processes that were seen to map some of them
	raw    string
}

var errFramesHidden = fmt.Errorf("page frame numbers are hidden: %w (CAP_SYS_ADMIN)", process.ErrDenied)

// findForeign finds, for each VMA of the declared processes, the pages that are mapped
// elsewhere too, and by whom: pagemap says which frame is behind a page, kpagecount how
// often that frame is mapped; where that is more often than the process itself maps it,
// somebody else does. The others are then asked for the same frames.
func (a *auditor) findForeign(ctx context.Context, subjects []*subject) error {
	frames, err := vma.OpenFrames(a.Proc)
	if err == nil {
		defer frames.Close()
	}
	search := frameSearch{reader: &vma.Reader{}, wanted: map[uint64][]*foreignPages{}}
	for _, s := range subjects {
		if !s.declared || s.process == nil {
			continue
		}
		if err != nil {
			s.foreignUnknown(err)
		} else if err := search.ownFrames(frames, s); err != nil {
			s.foreignUnknown(err)
		}
	}
	if len(search.wanted) == 0 {
		return nil
	}
	for _, pid := range a.pids {
		if err := ctx.Err(); err != nil {
			return err
		}
		search.askOther(a.Proc, pid)
	}
	return nil
}

func (s *subject) foreignUnknown(err error) {
	for i := range s.candidates {
		s.candidates[i].foreign = nil
		s.candidates[i].foreignErr = err
	}
}

// frameSearch looks for the frames of declared processes in others.
type frameSearch struct {
	reader *vma.Reader
	wanted map[uint64][]*foreignPages // by frame number
}

// ownFrames finds the pages of a declared process that are mapped more often than the
// process maps them.
func (f *frameSearch) ownFrames(frames *vma.Frames, s *subject) error {
	own := map[uint64]uint64{} // how often the process maps a frame
	type use struct {
		frame uint64
		v     int
	}
	var uses []use
	for i := range s.candidates {
		s.candidates[i].foreign = &foreignPages{of: s.info.PID}
		err := f.present(s.process, &s.candidates[i].vma, func(page vma.Page) error {
			if page.Frame() == 0 {
				return errFramesHidden
			}
			own[page.Frame()]++
			uses = append(uses, use{page.Frame(), i})
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, u := range uses {
		mapped, err := frames.Mapped(u.frame)
		if err != nil {
			return err
		}
		if mapped <= own[u.frame] {
			continue
		}
		flags, err := frames.Flags(u.frame)
		if err != nil {
			return err
		}
		if flags.Has(vma.FrameZeroPage) {
			continue // holds nothing of anybody
		}
		found := s.candidates[u.v].foreign
		if found.count++; found.count == 1 {
			found.raw = fmt.Sprintf("frame %#x: kpagecount %d, mapped %d times by this process, kpageflags %#x", u.frame, mapped, own[u.frame], uint64(flags))
		}
		f.wanted[u.frame] = append(f.wanted[u.frame], found)
	}
	return nil
}

// present calls fn for each page of a VMA that is in memory.
func (f *frameSearch) present(p *process.Process, v *vma.VMA, fn func(vma.Page) error) error {
	each := func(start, end uint64) error {
		return f.reader.Pages(p, start, end, func(_ uint64, page vma.Page) error {
			if !page.Present() {
				return nil
			}
			return fn(page)
		})
	}
	// The scan passes over what is empty without looking at each page: reservations of
	// gigabytes are common.
	var runs []vma.Run
	err := f.reader.Scan(p, v.Start, v.End, vma.Present, func(r vma.Run) error {
		runs = append(runs, r)
		return nil
	})
	if errors.Is(err, vma.ErrUnsupported) {
		return each(v.Start, v.End)
	}
	for _, r := range runs {
		if err := each(r.Start, r.End); err != nil {
			return err
		}
	}
	return err
}

// askOther looks for the wanted frames in one other process. That it can't be read, or
// is gone, leaves owners unnamed; the count of pages does not depend on it.
func (f *frameSearch) askOther(proc process.FS, pid int) {
	p, err := proc.Open(pid)
	if err != nil {
		return
	}
	defer p.Close()
	var vmas []vma.VMA
	if err := f.reader.Maps(p, func(v *vma.VMA) error {
		if string(v.Name) != "[vsyscall]" {
			vmas = append(vmas, vma.VMA{Start: v.Start, End: v.End})
		}
		return nil
	}); err != nil {
		return
	}
	for i := range vmas {
		// An error here is of a process that changes: the rest of it is still asked.
		_ = f.present(p, &vmas[i], func(page vma.Page) error {
			for _, found := range f.wanted[page.Frame()] {
				if found.of != pid && !slices.Contains(found.owners, pid) {
					found.owners = append(found.owners, pid)
				}
			}
			return nil
		})
	}
}
