package exposure

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

// pagesTried is how many own pages the control looks at.
const pagesTried = 64

// control shows that frames read as what they are: own memory while it is mapped, once and
// twice, and after it was given back; and of all memory, as many slabs and page tables as
// the kernel counts elsewhere (vmstat).
func control(proc process.FS, frames *vma.Frames, m *Memory, before, after counters) guarantee.Control {
	if !proc.Live() {
		return guarantee.Control{Status: guarantee.ControlAbsent, Detail: proc.Root() + " is not the running kernel's proc file system: nothing can be tried on it"}
	}
	own, err := controlOwn(proc, frames)
	if err == nil {
		var counted string
		counted, err = controlCounts(m, before, after)
		own += "; " + counted
	}
	switch {
	case errors.Is(err, errNoControl):
		return guarantee.Control{Status: guarantee.ControlAbsent, Detail: guarantee.Text(err.Error())}
	case err != nil:
		return guarantee.Control{Status: guarantee.ControlFailed, Detail: guarantee.Text(err.Error())}
	}
	return guarantee.Control{Status: guarantee.ControlPassed, Detail: own}
}

// errNoControl: the control could not be tried, which says nothing of the method.
var errNoControl = errors.New("the control could not be tried")

func noControl(err error) error { return fmt.Errorf("%w: %w", errNoControl, err) }

// controlOwn maps pages of a memfd, touches them, maps them twice, and gives them back.
func controlOwn(proc process.FS, frames *vma.Frames) (string, error) {
	size := pagesTried * os.Getpagesize()
	f, err := sys.MemfdCreate("safevma-control", 0)
	if err != nil {
		return "", noControl(err)
	}
	defer f.Close()
	if err := f.Truncate(int64(size)); err != nil {
		return "", noControl(err)
	}
	first, list, err := controlMapping(proc, frames, f, size, 1)
	if err != nil {
		return "", err
	}
	defer sys.Munmap(first)
	second, _, err := controlMapping(proc, frames, f, size, 2)
	if err != nil {
		return "", err
	}
	if err := sys.Munmap(second); err != nil {
		return "", noControl(err)
	}
	if err := controlMapped(frames, list, 1); err != nil {
		return "", err
	}
	return controlAnonymous(func() (int, error) { return controlGivenBack(proc, frames) })
}

// controlMapping maps the file once more, and looks at its frames.
func controlMapping(proc process.FS, frames *vma.Frames, f *os.File, size int, mappings uint64) ([]byte, []uint64, error) {
	b, err := sys.Mmap(size, sys.ProtRead|sys.ProtWrite, sys.MapShared, int(f.Fd()), 0)
	if err != nil {
		return nil, nil, noControl(err)
	}
	for i := 0; i < size; i += os.Getpagesize() {
		b[i] = 1
	}
	list, err := framesOf(proc, b)
	if err == nil {
		err = controlMapped(frames, list, mappings)
	}
	if err != nil {
		sys.Munmap(b)
		return nil, nil, err
	}
	return b, list, nil
}

// controlTries is how often own memory is given back: on a busy machine others get its frames
// before they are looked at.
const controlTries = 16

// controlAnonymous: frames of private memory are mapped and anonymous, and are neither
// when the memory was given back, unless somebody else has got them since. try is
// [controlGivenBack].
func controlAnonymous(try func() (left int, err error)) (string, error) {
	least := pagesTried
	for range controlTries {
		left, err := try()
		if err != nil {
			return "", err
		}
		if least = min(least, left); least <= pagesTried/2 {
			return fmt.Sprintf("%d own pages read as mapped once, twice and once again; as anonymous; and %d of them as not mapped when they had been given back",
				pagesTried, pagesTried-left), nil
		}
	}
	return "", fmt.Errorf("of %d own pages that were given back, %d and more read as mapped, %d times", pagesTried, least, controlTries)
}

// controlGivenBack maps private memory, looks at its frames, gives it back, and returns how many
// frames still read as mapped.
func controlGivenBack(proc process.FS, frames *vma.Frames) (left int, err error) {
	size := pagesTried * os.Getpagesize()
	b, err := sys.Mmap(size, sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapAnonymous, -1, 0)
	if err != nil {
		return 0, noControl(err)
	}
	defer sys.Munmap(b)
	if err := sys.Madvise(b, sys.MadvNohugepage); err != nil && !errors.Is(err, syscall.EINVAL) {
		return 0, noControl(err)
	}
	for i := 0; i < size; i += os.Getpagesize() {
		b[i] = 1
	}
	list, err := framesOf(proc, b)
	if err != nil {
		return 0, err
	}
	for _, number := range list {
		flags, err := frames.Flags(number)
		if err != nil {
			return 0, err
		}
		if flags.Class() != vma.FrameIsMapped || !flags.Has(vma.FrameAnonymous) {
			return 0, fmt.Errorf("the frame of an own anonymous page reads as %s (%#x)", flags.Class(), uint64(flags))
		}
	}
	if err := sys.Madvise(b, sys.MadvDontneed); err != nil {
		return 0, noControl(err)
	}
	for _, number := range list {
		if flags, err := frames.Flags(number); err == nil && flags.Class() == vma.FrameIsMapped {
			left++
		}
	}
	return left, nil
}

// framesOf returns the frames behind own memory, all of which must be there.
func framesOf(proc process.FS, b []byte) ([]uint64, error) {
	p, err := proc.Self()
	if err != nil {
		return nil, noControl(err)
	}
	defer p.Close()
	var list []uint64
	var r vma.Reader
	err = r.Pages(p, sys.Addr(b), sys.Addr(b)+uint64(len(b)), func(_ uint64, page vma.Page) error {
		if page.Frame() == 0 {
			return errors.New("an own page that was touched has no frame")
		}
		list = append(list, page.Frame())
		return nil
	})
	return list, err
}

func controlMapped(frames *vma.Frames, list []uint64, want uint64) error {
	for _, number := range list {
		got, err := frames.Mapped(number)
		if err != nil {
			return err
		}
		flags, err := frames.Flags(number)
		if err != nil {
			return err
		}
		if got != want || flags.Class() != vma.FrameIsMapped {
			return fmt.Errorf("the frame of an own page that is mapped %d times counts as mapped %d times, and reads as %s", want, got, flags.Class())
		}
	}
	return nil
}

// counters are pages by the kernel's own count.
type counters struct {
	slab, pageTables uint64
	err              error
}

// statistics reads vmstat.
func statistics(proc process.FS) counters {
	text, err := os.ReadFile(proc.Path("vmstat"))
	if err != nil {
		return counters{err: err}
	}
	return parseStatistics(string(text))
}

func parseStatistics(text string) counters {
	var c counters
	found := 0
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		var into *uint64
		switch name {
		case "nr_slab_reclaimable", "nr_slab_unreclaimable":
			into = &c.slab
		case "nr_page_table_pages":
			into = &c.pageTables
		default:
			continue
		}
		n, err := strconv.ParseUint(value, 10, 48)
		if err != nil {
			return counters{err: fmt.Errorf("vmstat: %w: %q", process.ErrMalformed, line)}
		}
		*into += n
		found++
	}
	if found != 3 {
		c.err = fmt.Errorf("vmstat: %w: %d of 3 counters of slabs and page tables", process.ErrMalformed, found)
	}
	return c
}

// Slack between two counts of the same: they are not of the same moment, and the kernel
// batches its own by CPU; some of its slab pages are whole allocations that carry no flag.
const (
	slackPart  = 4 // a quarter
	slackPages = 512
)

// controlCounts: kpageflags shows as many slabs and page tables as the kernel counts.
func controlCounts(m *Memory, before, after counters) (string, error) {
	if err := errors.Join(before.err, after.err); err != nil {
		return "", noControl(err)
	}
	for _, one := range []struct {
		what                  string
		before, after, counts uint64
	}{
		{"slab", before.slab, after.slab, m.Counts[vma.FrameIsSlab]},
		{"page-table", before.pageTables, after.pageTables, m.Counts[vma.FrameIsPageTable]},
	} {
		low, high := min(one.before, one.after), max(one.before, one.after)
		if one.counts+one.counts/slackPart+slackPages < low || one.counts > high+high/slackPart+slackPages || one.counts == 0 {
			return "", fmt.Errorf("%d %s pages by their flags, %d to %d by vmstat", one.counts, one.what, low, high)
		}
	}
	return fmt.Sprintf("of all memory %d slab and %d page-table pages by their flags, %d and %d by vmstat",
		m.Counts[vma.FrameIsSlab], m.Counts[vma.FrameIsPageTable], after.slab, after.pageTables), nil
}

func now() time.Time { return time.Now().UTC() }
