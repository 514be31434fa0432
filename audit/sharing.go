package audit

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
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

// foreignPages are the pages of a VMA that another process can reach too.
type foreignPages struct {
	of     int    // process id
	count  uint64 // pages
	owners []int  // processes that were seen to map some of them
	raw    string
}

var (
	errFramesHidden = fmt.Errorf("page frame numbers are hidden: %w (CAP_SYS_ADMIN)", process.ErrDenied)
	errSwapped      = errors.New("pages in swap can't be counted, and may be shared")
)

// findForeign finds, for each VMA of the declared processes, the pages that another
// process can reach too, and which process. There are three ways to share:
//
//   - frames: pagemap says which frame is behind a page, kpagecount how often that frame
//     is mapped. Where that is more often than the process itself maps it, somebody else
//     does; the others are then asked for the same frames.
//   - files: a shared mapping of what another process maps shared too, touched or not.
//   - the address space itself (clone(CLONE_VM)), which shows in neither: kcmp(2) tells.
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
		if err == nil {
			err = search.ownFrames(frames, s)
		}
		if err != nil {
			s.foreignUnknown(err)
		}
	}
	for _, pid := range a.pids {
		if len(search.wanted) == 0 {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		search.askOther(a.Proc, pid)
	}
	for _, s := range subjects {
		if s.declared && s.process != nil {
			s.sharedFiles(subjects)
			s.sharedSpace(subjects)
		}
	}
	return nil
}

// foreignUnknown makes unknown what was not found to be shared.
func (s *subject) foreignUnknown(err error) {
	for i := range s.candidates {
		if c := &s.candidates[i]; c.foreign == nil || c.foreign.count == 0 {
			c.foreign, c.foreignErr = nil, err
		}
	}
}

// found makes all pages of a candidate foreign.
func (c *candidate) found(of, owner int, raw string) {
	if c.foreign == nil {
		c.foreign = &foreignPages{of: of}
	}
	if c.foreign.count == 0 {
		c.foreign.count, c.foreign.raw = c.vma.Size()/vma.PageSize, raw
	}
	c.foreign.owners = appendNew(c.foreign.owners, owner)
}

// sharedFiles finds shared mappings of what another process maps shared too.
func (s *subject) sharedFiles(subjects []*subject) {
	for i := range s.candidates {
		c := &s.candidates[i]
		if !c.vma.Perm.Has(vma.PermShared) || !hasFile(&c.vma) {
			continue
		}
		id := s.inodeID(&c.vma, c.kind)
		for _, other := range subjects {
			for _, m := range other.views {
				if other != s && m.id == id && m.perm.Has(vma.PermShared) {
					c.found(s.info.PID, other.info.PID, other.line(m.raw))
				}
			}
		}
	}
}

// sharedSpace finds processes that share the whole address space.
func (s *subject) sharedSpace(subjects []*subject) {
	for _, other := range subjects {
		if other == s || other.info.KernelThread {
			continue
		}
		same, err := sys.SameMemory(s.info.PID, other.info.PID)
		switch {
		case errors.Is(err, syscall.ESRCH):
		case err != nil:
			s.foreignUnknown(fmt.Errorf("process %d may share the whole address space: %w", other.info.PID, err))
		case same:
			for i := range s.candidates {
				s.candidates[i].found(s.info.PID, other.info.PID, fmt.Sprintf("kcmp(%d, %d, KCMP_VM): one address space", s.info.PID, other.info.PID))
			}
		}
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
	own, err := f.mappedBy(s.process)
	if err != nil {
		return err
	}
	for i := range s.candidates {
		c := &s.candidates[i]
		c.foreign = &foreignPages{of: s.info.PID}
		err := f.present(s.process, &c.vma, func(page vma.Page) error {
			foreign, raw, err := isForeign(frames, page.Frame(), own[page.Frame()])
			if err != nil || !foreign {
				return err
			}
			if c.foreign.count++; c.foreign.count == 1 {
				c.foreign.raw = raw
			}
			f.wanted[page.Frame()] = append(f.wanted[page.Frame()], c.foreign)
			return nil
		})
		if err != nil {
			return err
		}
		if c.vma.Mem.Swap > 0 && c.foreign.count == 0 {
			c.foreign, c.foreignErr = nil, errSwapped
		}
	}
	return nil
}

// mappedBy counts how often a process maps each of its frames.
func (f *frameSearch) mappedBy(p *process.Process) (map[uint64]uint64, error) {
	own := map[uint64]uint64{}
	vmas, err := f.vmasOf(p)
	if err != nil {
		return nil, err
	}
	for i := range vmas {
		if err := f.present(p, &vmas[i], func(page vma.Page) error {
			if page.Frame() == 0 {
				return errFramesHidden
			}
			own[page.Frame()]++
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return own, nil
}

// isForeign reports whether a frame is mapped more often than its process maps it. A
// frame that the process did not have a moment ago is new to it, and has not been
// counted.
func isForeign(frames *vma.Frames, frame, own uint64) (foreign bool, raw string, err error) {
	mapped, err := frames.Mapped(frame)
	if err != nil || own == 0 || mapped <= own {
		return false, "", err
	}
	flags, err := frames.Flags(frame)
	if err != nil || flags.Has(vma.FrameZeroPage) { // the zero page holds nothing of anybody
		return false, "", err
	}
	return true, fmt.Sprintf("frame %#x: kpagecount %d, mapped %d times by this process, kpageflags %#x", frame, mapped, own, uint64(flags)), nil
}

// vmasOf returns the bounds of the VMAs of a process.
func (f *frameSearch) vmasOf(p *process.Process) ([]vma.VMA, error) {
	var vmas []vma.VMA
	err := f.reader.Maps(p, func(v *vma.VMA) error {
		if string(v.Name) != "[vsyscall]" {
			vmas = append(vmas, vma.VMA{Start: v.Start, End: v.End})
		}
		return nil
	})
	return vmas, err
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
	var runs []vma.Run // the scan passes over what is empty, as in countPages
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
	vmas, err := f.vmasOf(p)
	if err != nil {
		return
	}
	for i := range vmas {
		// An error here is of a process that changes: the rest of it is still asked.
		_ = f.present(p, &vmas[i], func(page vma.Page) error {
			for _, found := range f.wanted[page.Frame()] {
				if found.of != pid {
					found.owners = appendNew(found.owners, pid)
				}
			}
			return nil
		})
	}
}
