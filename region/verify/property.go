package verify

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/memfd"
	"github.com/safevma/safevma/kernel/vma"
	"github.com/safevma/safevma/region/internal/view"
)

// property is one thing that an area may show.
type property struct {
	name, rule, requirement string
	severity                guarantee.Severity
	method                  guarantee.Method
	judge                   func(*examination, *area) outcome
}

var properties = []property{
	{"Secret", "verify-secret", "SV-LIN-01", guarantee.High, guarantee.Probe, (*examination).secret},
	{"Alone", "verify-alone", "SV-XDM-01", guarantee.High, guarantee.Read, (*examination).alone},
	{"Resident", "verify-resident", "SV-RES-01", guarantee.High, guarantee.Read, (*examination).resident},
	{"NoSwap", "verify-locked", "SV-RES-02", guarantee.High, guarantee.Read, (*examination).locked},
	{"Guarded", "verify-guarded", "SV-TOP-02", guarantee.Medium, guarantee.Read, (*examination).guarded},
	{"Sealed", "verify-sealed", "SV-TOP-01", guarantee.Medium, guarantee.Read, (*examination).sealed},
	{"ReadOnly", "verify-read-only", "SV-INT-01", guarantee.High, guarantee.Read, (*examination).readOnly},
	{"NoDump", "verify-no-dump", "SV-XDM-05", guarantee.Medium, guarantee.Read, (*examination).notDumped},
	{"NoFork", "verify-no-fork", "SV-XDM-02", guarantee.Medium, guarantee.Read, (*examination).notForked},
	{"NoExec", "verify-no-exec", "SV-XDM-03", guarantee.High, guarantee.Read, (*examination).notExecutable},
	{"NoMerge", "verify-no-merge", "SV-RES-02", guarantee.Medium, guarantee.Read, (*examination).notMerged},
}

func propertyNamed(name string) *property {
	for i := range properties {
		if properties[i].name == name {
			return &properties[i]
		}
	}
	return nil
}

// outcome is what an area shows: Holds, NotApplicable where it does not have the property, Broken
// where it contradicts itself.
type outcome struct {
	status  guarantee.Status
	raw     []string
	message string
	control guarantee.Control
}

func lacks(message string) outcome { return outcome{status: guarantee.NotApplicable, message: message} }

func unread(what string, err error) outcome {
	return outcome{status: guarantee.Unknown, message: what + " can't be read: " + guarantee.Text(err.Error())}
}

// contradictedBy is the outcome of an area that another mapping makes what it does not claim to be.
func (a *area) contradictedBy(other *vma.VMA, message string) outcome {
	return outcome{status: guarantee.Broken, raw: append(a.lines(), view.Line(other)), message: message}
}

const rawShown = 8

func (x *examination) verdict(a *area, p *property) guarantee.Verdict {
	o := p.judge(x, a)
	if o.raw == nil {
		o.raw = a.lines()
	}
	if o.status == guarantee.NotApplicable && x.required(p.name) {
		o.status = guarantee.Broken
		o.message = p.name + " is required: " + o.message
	}
	if o.control.Status == "" {
		o.control = view.Absent("nothing was decided")
	}
	if o.status == guarantee.Holds && o.control.Status != guarantee.ControlPassed {
		o.status, o.message = guarantee.Unknown, "nothing speaks against it, but the check could not be shown able to fail"
	}
	return guarantee.Verdict{
		Requirement: p.requirement, Rule: p.rule, Status: o.status, Severity: p.severity, Subject: x.subject(a), Method: p.method,
		Observation: guarantee.Observation{Source: x.process.Path("smaps"), Raw: o.raw[:min(len(o.raw), rawShown)], Total: len(o.raw)},
		Control:     o.control, Window: guarantee.Since(x.from), Message: o.message,
	}
}

func (x *examination) required(name string) bool {
	for _, required := range x.options.Require {
		if required == name {
			return true
		}
	}
	return false
}

func (a *area) lines() []string {
	var lines []string
	for _, v := range a.vmas {
		lines = append(lines, view.Line(v))
	}
	return lines
}

func (a *area) pageLine(i int, page vma.Page) string {
	return fmt.Sprintf("pagemap of %x: %016x", a.start+uint64(i)*vma.PageSize, uint64(page))
}

// flagged is the outcome of a flag that all VMAs should have, or none.
func (x *examination) flagged(a *area, want vma.Flags, good, part, none string) outcome {
	o := outcome{status: guarantee.Holds, message: good, control: x.control(want)}
	switch {
	case a.all(want):
	case a.any(want):
		o.status, o.message = guarantee.Broken, part
	default:
		o.status, o.message = guarantee.NotApplicable, none
	}
	return o
}

// control: ordinary memory of this process is read by the same code, and seen without the flags.
func (x *examination) control(flags vma.Flags) guarantee.Control {
	v := x.own.At(sys.Addr(x.ordinary.Plain))
	if v == nil || v.Flags&flags != 0 {
		return view.Failed("ordinary memory of this process is not seen as such")
	}
	return view.Passed("ordinary memory of this process is seen without it: %s", view.Line(v))
}

func (x *examination) notDumped(a *area) outcome {
	return x.flagged(a, vma.FlagDontDump, "no core dump has it", "a part of it would be in a core dump",
		"a core dump would have it")
}

func (x *examination) sealed(a *area) outcome {
	return x.flagged(a, vma.FlagSealed, "the mapping is sealed", "a part of the mapping is not sealed",
		"the mapping is not sealed")
}

func (x *examination) notForked(a *area) outcome {
	for _, f := range []vma.Flags{vma.FlagDontCopy, vma.FlagWipeOnFork} {
		if a.any(f) {
			return x.flagged(a, f, "a child does not have its content", "a child has a part of it", "")
		}
	}
	return lacks("a child has it, too")
}

// locked: secret memory is, by its nature; not all kernels say so of its VMAs.
func (x *examination) locked(a *area) outcome {
	o := x.flagged(a, vma.FlagLocked, "it is locked", "a part of it is not locked", "it is not locked")
	if a.kind == memfd.Secret {
		o.status, o.message = guarantee.Holds, "it is secret memory, which can't leave memory"
	}
	for _, v := range a.vmas {
		if a.any(vma.FlagLocked) && (v.Mem.Swap > 0 || v.Flags&vma.FlagDroppable != 0) {
			o.status, o.message = guarantee.Broken, "it is locked, and may leave memory or has left it"
			o.raw = append(o.raw, fmt.Sprintf("%s  Swap: %d bytes", view.Line(v), v.Mem.Swap))
		}
	}
	return o
}

// resident: secret memory, and what is locked on first touch, comes when it is touched, so that it
// is not all there says nothing, unless it is required.
func (x *examination) resident(a *area) outcome {
	var missing []string
	pages, err := x.space.Pages(a.start, a.end)
	if err != nil {
		return unread("which pages are in memory", err)
	}
	for i, page := range pages {
		if !page.Present() {
			missing = append(missing, a.pageLine(i, page))
		}
	}
	if len(missing) == 0 {
		return outcome{status: guarantee.Holds, message: "every page is in memory", control: x.presence()}
	}
	o := lacks(fmt.Sprintf("%d of %d pages are not in memory", len(missing), len(pages)))
	o.raw = missing
	if a.any(vma.FlagLocked) && !a.any(vma.FlagLockOnFault) && a.kind != memfd.Secret && !closed(a.vmas[0]) {
		o.status = guarantee.Broken
		o.message = "it is locked, but " + o.message
	}
	return o
}

func (x *examination) presence() guarantee.Control {
	at := sys.Addr(x.ordinary.Untouched)
	pages, err := x.own.Pages(at, at+vma.PageSize)
	if err != nil || pages[0].Present() {
		return view.Failed("a page of this process that was not touched is not seen as absent")
	}
	return view.Passed("a page of this process that was not touched is seen as not present")
}

// notExecutable: what can be written and executed contradicts itself.
func (x *examination) notExecutable(a *area) outcome {
	switch {
	case a.any(vma.FlagExec) && a.any(vma.FlagWrite):
		return outcome{status: guarantee.Broken, message: "it is writable and executable"}
	case a.any(vma.FlagExec):
		return lacks("it is executable")
	}
	if other := x.alias(a, func(v *vma.VMA) bool { return v.Flags.Has(vma.FlagExec) }); other != nil && a.any(vma.FlagWrite) {
		return a.contradictedBy(other, "it can be written, and another mapping of it is executable")
	}
	o := outcome{status: guarantee.Holds, message: "it is not executable"}
	for i := range x.own.VMAs {
		if v := &x.own.VMAs[i]; v.Flags.Has(vma.FlagExec) {
			o.control = view.Passed("code of this process is seen as executable: %s", view.Line(v))
		}
	}
	return o
}

func (x *examination) notMerged(a *area) outcome {
	bad := a.any(vma.FlagMergeable)
	for _, v := range a.vmas {
		bad = bad || v.Mem.KSM > 0
	}
	switch {
	case bad && (a.any(vma.FlagLocked) || a.kind == memfd.Secret):
		return outcome{status: guarantee.Broken, message: "it is locked, and the kernel may merge it with equal pages"}
	case bad:
		return lacks("the kernel may merge it with equal pages")
	}
	o := outcome{status: guarantee.Holds, message: "the kernel merges none of it"}
	if x.ordinary.Mergeable == nil {
		o.status, o.message = guarantee.NotApplicable, "the kernel has no KSM: it merges nothing"
	} else if v := x.own.At(sys.Addr(x.ordinary.Mergeable)); v != nil && v.Flags.Has(vma.FlagMergeable) {
		o.control = view.Passed("a mergeable page of this process is seen so: %s", view.Line(v))
	}
	return o
}

// guarded looks at the pages on both sides. An ordinary mapping without access that happens to be
// there is as good as one that was put there.
func (x *examination) guarded(a *area) outcome {
	sides := 0
	raw := a.lines()
	for _, side := range []struct{ beside, end uint64 }{{a.start - vma.PageSize, a.start}, {a.end, a.end - vma.PageSize}} {
		shut := false
		if v := x.space.At(side.beside); v != nil {
			raw = append(raw, view.Line(v))
			shut = closed(v) && v.Flags&vma.FlagLocked == 0
		} else {
			raw = append(raw, fmt.Sprintf("%x: no mapping", side.beside))
		}
		if x.marked(side.end) {
			raw = append(raw, fmt.Sprintf("%x: a guard mark", side.end))
			shut = true
		}
		if shut {
			sides++
		}
	}
	control := x.control(0)
	if v := x.own.At(sys.Addr(x.ordinary.Plain)); v != nil && !closed(v) {
		control.Detail = "ordinary memory of this process is seen as accessible: " + view.Line(v)
	} else {
		control.Status = guarantee.ControlFailed
	}
	switch {
	case sides >= 2:
		return outcome{status: guarantee.Holds, raw: raw, message: "both sides are inaccessible", control: control}
	case sides == 1:
		return outcome{status: guarantee.NotApplicable, raw: raw, message: "one side alone is inaccessible"}
	}
	return outcome{status: guarantee.NotApplicable, raw: raw, message: "neither side is inaccessible"}
}

// marked reports whether a page is a guard mark in the page table of its area.
func (x *examination) marked(at uint64) bool {
	pages, err := x.space.Pages(at, at+vma.PageSize)
	return err == nil && pages[0].Guard()
}

// readOnly: a shared mapping that can be made writable by nobody is of a file that was sealed
// against writing before; a file that was opened to be read alone is not mapped as shared.
func (x *examination) readOnly(a *area) outcome {
	if !a.kind.IsMemfd() || !a.all(vma.FlagShared) || a.any(vma.FlagWrite|vma.FlagMayWrite) {
		return lacks("it is no shared mapping of a file that is sealed against writing")
	}
	if other := x.alias(a, func(v *vma.VMA) bool { return v.Flags&(vma.FlagWrite|vma.FlagMayWrite) != 0 }); other != nil {
		return a.contradictedBy(other, "another mapping of the same memory can be written")
	}
	o := outcome{status: guarantee.Holds, message: "it is a shared mapping of a file that is sealed against writing"}
	if v := x.own.At(sys.Addr(x.ordinary.Twice[0])); v != nil && v.Flags.Has(vma.FlagShared|vma.FlagMayWrite) {
		o.control = view.Passed("a mapping of an unsealed memfd in this process is seen so: %s", view.Line(v))
	}
	return o
}

// alone is a matter of secret memory: whoever else maps it reads it.
func (x *examination) alone(a *area) outcome {
	if a.kind != memfd.Secret {
		return lacks("it is not secret memory")
	}
	if other := x.alias(a, func(*vma.VMA) bool { return true }); other != nil {
		return a.contradictedBy(other, "another mapping shows the same memory")
	}
	pages, err := x.space.Pages(a.start, a.end)
	if err != nil {
		return unread("whether others map it", err)
	}
	for i, page := range pages {
		if page.Present() && !page.Exclusive() {
			return outcome{status: guarantee.Broken, raw: []string{a.pageLine(i, page)}, message: "its pages are mapped elsewhere, too"}
		}
	}
	o := outcome{status: guarantee.Holds, message: "nothing else maps its pages"}
	if v := x.own.At(sys.Addr(x.ordinary.Twice[0])); v != nil && len(x.own.Others(v)) == 1 {
		o.control = view.Passed("a file that this process maps twice is seen so")
	}
	return o
}

// secret: the device tells it. Where this process may, the kernel is asked for the content.
func (x *examination) secret(a *area) outcome {
	if a.kind != memfd.Secret {
		return lacks("it is not secret memory")
	}
	o := outcome{status: guarantee.Holds, raw: a.lines(), message: "it is secret memory"}
	v := x.own.At(sys.Addr(x.ordinary.Twice[0]))
	if v == nil || x.kind(v) != memfd.Memfd {
		o.control = view.Failed("an ordinary memfd of this process is not seen as one")
		return o
	}
	o.control = view.Passed("an ordinary memfd of this process is told from it by its device: %s", view.Line(v))
	ordinary := x.readable()
	if ordinary == 0 || closed(a.vmas[0]) {
		return o
	}
	if err := x.take(ordinary); err != nil {
		o.raw = append(o.raw, "process_vm_readv of ordinary memory of it: "+sys.ErrnoName(err)+": not tried on this")
		return o
	}
	err := x.take(a.start)
	switch {
	case err == nil:
		o.status, o.message = guarantee.Broken, "the kernel gave its content to process_vm_readv"
		o.raw = append(o.raw, "process_vm_readv: succeeded")
	case !errors.Is(err, syscall.EFAULT):
		o.status, o.message = guarantee.Unknown, "process_vm_readv says "+sys.ErrnoName(err)+", where EFAULT was expected"
	default:
		o.message = "it is secret memory, and process_vm_readv is refused"
		o.raw = append(o.raw, "process_vm_readv: EFAULT")
		o.control.Detail += "; ordinary memory of the process is given"
	}
	return o
}

// alias returns a mapping elsewhere in the process that shows a part of an area, and is so.
func (x *examination) alias(a *area, is func(*vma.VMA) bool) *vma.VMA {
	for _, v := range a.vmas {
		for _, other := range x.space.Others(v) {
			if is(other) {
				return other
			}
		}
	}
	return nil
}

// readable returns the address of ordinary memory of the process that can be read: its code.
func (x *examination) readable() uint64 {
	for i := range x.space.VMAs {
		if v := &x.space.VMAs[i]; v.Perm.Has(vma.PermRead|vma.PermExec) && v.Inode != 0 {
			return v.Start
		}
	}
	return 0
}
