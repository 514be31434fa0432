package region

import (
	"fmt"
	"os"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
	"github.com/safevma/safevma/region/internal/view"
)

// What is read of the kernel's lists.

func unknown(source, format string, args ...any) outcome {
	return outcome{status: guarantee.Unknown, source: source, message: fmt.Sprintf(format, args...),
		control: view.Absent("nothing was decided")}
}

const (
	smaps   = "/proc/self/smaps"
	pagemap = "/proc/self/pagemap"
)

// flags judges the VMAs over the pages: all have want, and none of without. The control is the
// VMA of a page of ordinary memory, in the same reading, that is otherwise.
func (x *examination) flags(want, without vma.Flags, control []byte, good, bad string) outcome {
	o := outcome{status: guarantee.Holds, source: smaps, message: good, control: x.flagControl(want, without, control)}
	if o.raw = x.space.Lacking(x.start, x.end, want, without); len(o.raw) > 0 {
		o.status, o.message = guarantee.Broken, bad
		return o
	}
	o.raw = x.space.Lines(x.start, x.end)
	return o
}

func (x *examination) flagControl(want, without vma.Flags, control []byte) guarantee.Control {
	v := x.space.At(sys.Addr(control))
	switch {
	case v == nil:
		return view.Failed("the list of VMAs does not have the ordinary page at %x", sys.Addr(control))
	case v.Flags.Has(want) && v.Flags&without == 0:
		// As where all memory is locked: but for the kernel's own.
		for i := range x.space.VMAs {
			if o := &x.space.VMAs[i]; o.Flags != 0 && (!o.Flags.Has(want) || o.Flags&without != 0) {
				return view.Passed("another mapping, in the same list, is seen otherwise: %s", view.Line(o))
			}
		}
		return view.Failed("an ordinary page looks the same: %s", view.Line(v))
	}
	return view.Passed("an ordinary page, in the same list, is seen otherwise: %s", view.Line(v))
}

func (x *examination) notDumped() outcome {
	return x.flags(vma.FlagDontDump, 0, x.ordinary.Plain, "no core dump has it", "a core dump would have it")
}

// locked: secret memory is locked by its nature. Kernels up to 6.18 say so of its VMAs, too; since
// its pages are on no list from which memory is reclaimed, 7.3 does not.
func (x *examination) locked() outcome {
	want, without := vma.FlagLocked, vma.FlagDroppable
	if x.r.has.has(resident) {
		without |= vma.FlagLockOnFault
	}
	if _, err := secretDevices(); err != nil && x.r.has.has(secret) {
		return unknown(smaps, "what secret memory looks like could not be learnt: %v", err)
	}
	if x.isSecret() { // it may be locked on first touch: mlockall(2) does that, and it stays all the same
		want, without = 0, vma.FlagDroppable
	}
	o := x.flags(want, without, x.ordinary.Plain, "it is locked, and none of it is in swap", "a part of it is not locked")
	if want == 0 {
		o.message = "it is secret memory, which can't leave memory, and none of it is in swap"
		o.control = x.secretControl()
	}
	if swapped := x.swapped(); len(swapped) > 0 {
		o.status, o.message, o.raw = guarantee.Broken, "a part of it is in swap", append(o.raw, swapped...)
	}
	return o
}

// swapped returns lines for what is in swap: by page, or where that can't be read, by VMA.
func (x *examination) swapped() (lines []string) {
	for i, page := range x.pages {
		if page.Swapped() {
			lines = append(lines, x.pageLine(i))
		}
	}
	if x.pagesErr == nil {
		return lines
	}
	for _, v := range x.space.Over(x.start, x.end) {
		if v.Mem.Swap > 0 {
			lines = append(lines, fmt.Sprintf("%x-%x Swap: %d bytes", v.Start, v.End, v.Mem.Swap))
		}
	}
	return lines
}

func (x *examination) pageLine(i int) string {
	return fmt.Sprintf("pagemap of %x: %016x", x.start+uint64(i)*vma.PageSize, uint64(x.pages[i]))
}

func (x *examination) resident() outcome {
	if x.pagesErr != nil {
		return unknown(pagemap, "which pages are in memory can't be read: %v", x.pagesErr)
	}
	o := outcome{status: guarantee.Holds, source: pagemap, message: "every page is in memory", control: x.presenceControl()}
	for i, page := range x.pages {
		if !page.Present() {
			o.raw = append(o.raw, x.pageLine(i))
		}
	}
	if n := len(o.raw); n > 0 {
		o.status, o.message = guarantee.Broken, fmt.Sprintf("%d of %d pages are not in memory", n, len(x.pages))
		return o
	}
	o.raw = []string{x.pageLine(0), fmt.Sprintf("%d pages, bit 63 (present) is set in all", len(x.pages))}
	return o
}

func (x *examination) presenceControl() guarantee.Control {
	p, err := process.Default().Self()
	if err != nil {
		return view.Absent("%v", err)
	}
	defer p.Close()
	var reader vma.Reader
	present := func(b []byte) (is bool, err error) {
		err = reader.Pages(p, sys.Addr(b), sys.Addr(b)+vma.PageSize, func(_ uint64, page vma.Page) error {
			is = page.Present()
			return nil
		})
		return is, err
	}
	touched, err := present(x.ordinary.Plain)
	if err != nil {
		return view.Absent("%v", err)
	}
	untouched, err := present(x.ordinary.Untouched)
	switch {
	case err != nil:
		return view.Absent("%v", err)
	case untouched || !touched:
		return view.Failed("ordinary pages: touched, present is %v; untouched, present is %v", touched, untouched)
	}
	return view.Passed("an ordinary page that was not touched is seen as not present, one that was as present")
}

func (x *examination) committed() outcome {
	budget := x.r.budget
	beyond := func(line, message string) outcome {
		return outcome{status: guarantee.Broken, source: "the budget", raw: []string{line}, message: message,
			control: view.Absent("nothing was tried")}
	}
	if budget == nil {
		return beyond("no budget", "it is charged to no budget")
	}
	account := fmt.Sprintf("budget: %d of %d bytes are used, %d by this region", budget.Used(), budget.Limit(), len(x.r.pages))
	if budget.Used() > budget.Limit() || budget.Used() < int64(len(x.r.pages)) {
		return beyond(account, "the budget does not cover it")
	}
	if x.r.has.has(secret) {
		return outcome{status: guarantee.Holds, source: "the budget", raw: append(x.space.Lines(x.start, x.end), account),
			message: "it is within its budget; the kernel does not account secret memory before it is touched", control: x.presenceControl()}
	}
	o := x.flags(vma.FlagAccount, 0, x.ordinary.Twice[0], "the kernel accounts it, and it is within its budget",
		"the kernel does not account it")
	o.raw = append(o.raw, account)
	return o
}

// notExecutable looks at the region and at other mappings of the same file.
func (x *examination) notExecutable() outcome {
	o := x.flags(0, vma.FlagExec, x.ordinary.Plain, "no mapping of it is executable", "it is executable")
	for _, v := range x.space.Over(x.start, x.end) {
		for _, other := range x.space.Others(v) {
			if other.Perm.Has(vma.PermExec) {
				o.status, o.message = guarantee.Broken, "another mapping of the same memory is executable"
				o.raw = append(o.raw, view.Line(other))
			}
		}
	}
	o.control = x.execControl()
	if o.status == guarantee.Holds && len(x.space.Lacking(x.start, x.end, 0, vma.FlagMayExec)) == 0 {
		o.message += ", and none can be made so"
	}
	return o
}

func (x *examination) execControl() guarantee.Control {
	for i := range x.space.VMAs {
		if v := &x.space.VMAs[i]; v.Flags.Has(vma.FlagExec) && v.Inode != 0 {
			return view.Passed("the program's own code, in the same list, is seen as executable: %s", view.Line(v))
		}
	}
	return view.Failed("the list of VMAs shows no executable mapping, not even the program's code")
}

func (x *examination) notMerged() outcome {
	if x.ordinary.Mergeable == nil {
		return outcome{status: guarantee.NotApplicable, source: "madvise(MADV_MERGEABLE)", raw: []string{"EINVAL"},
			message: "the kernel has no KSM: it merges nothing"}
	}
	o := x.flags(0, vma.FlagMergeable, x.ordinary.Mergeable, "the kernel merges none of it",
		"the kernel may merge it with equal pages")
	for _, v := range x.space.Over(x.start, x.end) {
		if v.Mem.KSM > 0 {
			o.status, o.message = guarantee.Broken, "a part of it is merged"
			o.raw = append(o.raw, fmt.Sprintf("%x-%x KSM: %d bytes", v.Start, v.End, v.Mem.KSM))
		}
	}
	return o
}

// alone looks for other mappings of the pages: in this process by the list of VMAs, elsewhere by
// what pagemap and, for root, kpagecount say.
func (x *examination) alone() outcome {
	o := outcome{status: guarantee.Holds, source: smaps + ", " + pagemap, message: "nothing else maps its pages",
		control: x.aliasControl()}
	for _, v := range x.space.Over(x.start, x.end) {
		for _, other := range x.space.Others(v) {
			o.raw = append(o.raw, view.Line(other))
		}
	}
	if len(o.raw) > 0 {
		o.status, o.message = guarantee.Broken, "another mapping shows the same memory"
		return o
	}
	if x.pagesErr != nil {
		return unknown(pagemap, "whether others map it can't be read: %v", x.pagesErr)
	}
	for i, page := range x.pages {
		if page.Present() && !page.Exclusive() {
			o.raw = append(o.raw, x.pageLine(i))
		}
	}
	if len(o.raw) > 0 {
		o.status, o.message = guarantee.Broken, "its pages are mapped elsewhere, too"
		return o
	}
	o.raw = append(x.space.Lines(x.start, x.end), x.countMapped()...)
	return o
}

// countMapped asks kpagecount, where that may be read, and returns lines for the record.
func (x *examination) countMapped() []string {
	frames, err := vma.OpenFrames(process.Default())
	if err != nil {
		return []string{"kpagecount: " + guarantee.Text(err.Error())}
	}
	defer frames.Close()
	var lines []string
	for i, page := range x.pages {
		if page.Frame() == 0 || len(lines) == rawShown/2 {
			continue
		}
		n, err := frames.Mapped(page.Frame())
		flags, ferr := frames.Flags(page.Frame())
		if err == nil && ferr == nil {
			lines = append(lines, fmt.Sprintf("page %d: kpagecount %d, kpageflags %x", i, n, uint64(flags)))
		}
	}
	return lines
}

func (x *examination) aliasControl() guarantee.Control {
	v := x.space.At(sys.Addr(x.ordinary.Twice[0]))
	if v == nil || len(x.space.Others(v)) != 1 {
		return view.Failed("a file that is mapped twice is not seen so")
	}
	return view.Passed("an ordinary file that is mapped twice, in the same list, is seen so: %s", view.Line(x.space.Others(v)[0]))
}

// noDescriptor looks for open descriptors of the region's file in this process: whoever has one
// can map the memory.
func (x *examination) noDescriptor() outcome {
	const source = "/proc/self/fd"
	p, err := process.Default().Self()
	if err != nil {
		return unknown(source, "%v", err)
	}
	defer p.Close()
	names, err := p.List("fd")
	if err != nil {
		return unknown(source, "%v", err)
	}
	o := outcome{status: guarantee.Holds, source: source, message: "this process has no descriptor of it"}
	control := false
	if x.ordinary.File == nil {
		return unknown(source, "no memfd is allowed here, so that none can be found as the control")
	}
	ordinary, err := sys.Stat(x.ordinary.File)
	if err != nil {
		return unknown(source, "%v", err)
	}
	over := x.space.Over(x.start, x.end)
	for _, name := range names {
		st, err := p.Stat("fd/" + name)
		if err != nil {
			continue
		}
		control = control || st.Dev == ordinary.Dev && st.Ino == ordinary.Ino
		for _, v := range over {
			if v.Inode != 0 && st.Ino == v.Inode && sys.Major(st.Dev) == v.Dev.Major && sys.Minor(st.Dev) == v.Dev.Minor {
				link, _ := os.Readlink("/proc/self/fd/" + name)
				o.raw = append(o.raw, fmt.Sprintf("descriptor %s: %s, inode %d", name, guarantee.Text(link), st.Ino))
			}
		}
	}
	o.control = view.Failed("the descriptor of an ordinary memfd was not found")
	if control {
		o.control = view.Passed("the descriptor of an ordinary memfd was found by device and inode")
	}
	if len(o.raw) > 0 {
		o.status, o.message = guarantee.Broken, "a descriptor of it is open: whoever gets it can map the memory"
		return o
	}
	o.raw = append(x.space.Lines(x.start, x.end), fmt.Sprintf("%d descriptors, none of this inode", len(names)))
	return o
}
