package code

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
	"github.com/safevma/safevma/region"
	"github.com/safevma/safevma/region/internal/view"
)

// check is one thing that Verify looks at.
type check struct {
	rule, requirement string
	severity          guarantee.Severity
	sealed            bool // it is asked of sealed arenas alone
	judge             func(*examination) outcome
}

var checks = []check{
	{"code-read-only", "SV-INT-01", guarantee.Critical, false, (*examination).readOnly},
	{"code-not-writable-elsewhere", "SV-XDM-03", guarantee.Critical, false, (*examination).notElsewhere},
	{"code-sealed", "SV-TOP-01", guarantee.High, true, (*examination).fixed},
}

// outcome is what a check found: it holds where broken is empty and the control passed.
type outcome struct {
	source, message string
	broken, raw     []string
	unknown         string
	control         error // why the check could not be shown able to fail
	shown           string
}

// examination is one run of Verify.
type examination struct {
	arena      *Arena
	space      *view.Space
	ordinary   *view.Ordinary
	start, end uint64 // of what executes
}

// Verify looks at what executes from the kernel's side, and attacks it in ways that do no harm, with
// the same attempts on ordinary memory as controls: that it can't be written (SV-INT-01), is not
// writable through another mapping (SV-XDM-03), and of a sealed arena that the mapping can't be
// changed (SV-TOP-01). An arena without published programs has no verdicts. It keeps other methods
// waiting for some milliseconds.
func (a *Arena) Verify() ([]guarantee.Verdict, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		return nil, failed("verify", region.ErrClosed)
	}
	if a.mapped == 0 {
		return nil, nil
	}
	from := time.Now()
	x := &examination{arena: a, start: a.entry, end: a.entry + uint64(a.mapped)}
	subject, err := x.look()
	if err != nil {
		return nil, failed("verify", fmt.Errorf("this process can't be looked at: %w", err))
	}
	defer x.ordinary.Close()
	var verdicts []guarantee.Verdict
	for _, c := range checks {
		if !c.sealed || a.sealed {
			verdicts = append(verdicts, c.verdict(c.judge(x), subject, from))
		}
	}
	return verdicts, nil
}

// look reads the list of VMAs, with ordinary memory in it.
func (x *examination) look() (guarantee.Subject, error) {
	s := guarantee.Subject{Kind: guarantee.KindRegion, PID: os.Getpid(), Name: fmt.Sprintf("code at %x, %d bytes", x.start, x.end-x.start)}
	p, err := process.Default().Self()
	if err != nil {
		return s, err
	}
	defer p.Close()
	if info, err := p.Glance(); err == nil {
		s.StartTime, s.Exe = info.StartTime, guarantee.Text(info.Exe)
	}
	if x.ordinary, err = view.NewOrdinary(); err != nil {
		return s, err
	}
	if x.space, err = view.Read(p); err != nil {
		return s, errors.Join(err, x.ordinary.Close())
	}
	return s, nil
}

func (c *check) verdict(o outcome, subject guarantee.Subject, from time.Time) guarantee.Verdict {
	v := guarantee.Verdict{
		Requirement: c.requirement, Rule: c.rule, Status: guarantee.Holds, Severity: c.severity, Subject: subject,
		Method: guarantee.Probe, Window: guarantee.Since(from), Message: o.message,
		Control: guarantee.Control{Status: guarantee.ControlPassed, Detail: o.shown},
	}
	if o.control != nil {
		v.Control = guarantee.Control{Status: guarantee.ControlFailed, Detail: o.control.Error()}
		v.Status, v.Message = guarantee.Unknown, "the check could not be shown able to fail"
	}
	if o.unknown != "" {
		v.Status, v.Message = guarantee.Unknown, o.unknown
	}
	if len(o.broken) > 0 {
		v.Status, v.Message, o.raw = guarantee.Broken, "it can be changed", o.broken
	}
	v.Observation = guarantee.Observation{Source: o.source, Raw: o.raw, Total: len(o.raw)}
	return v
}

// try makes an attempt that should be refused with want, and the same on ordinary memory.
func (o *outcome) try(call string, got error, want syscall.Errno, control error) {
	line := call + ": " + sys.ErrnoName(got)
	switch {
	case got == nil:
		o.broken = append(o.broken, call+": succeeded")
	case !errors.Is(got, want):
		o.unknown = fmt.Sprintf("%s, where %s was expected", line, sys.ErrnoName(want))
	}
	o.raw = append(o.raw, line)
	if control != nil {
		o.control = fmt.Errorf("on ordinary memory, %s: %w", call, control)
	}
	o.shown += "; on ordinary memory, " + call + ": succeeded"
}

// lacks says whether a part of [start, end) has not the flags of want, or one of without. The control
// is an ordinary page in the same list, of which that is so.
func (x *examination) lacks(o *outcome, start, end uint64, want, without vma.Flags) bool {
	o.broken = x.space.Lacking(start, end, want, without)
	plain := sys.Addr(x.ordinary.Plain)
	seen := x.space.Lacking(plain, plain+uint64(os.Getpagesize()), want, without)
	if len(seen) == 0 {
		o.control = errors.New("an ordinary page looks the same")
		return len(o.broken) > 0
	}
	o.shown = "an ordinary page is seen otherwise: " + seen[0]
	return len(o.broken) > 0
}

// readOnly: the mapping is shared and can't become writable, and what passes ordinary protection is
// refused too.
func (x *examination) readOnly() outcome {
	o := outcome{source: "/proc/self/smaps, mprotect, /proc/self/mem", message: "what executes can't be written", raw: x.space.Lines(x.start, x.end)}
	if x.lacks(&o, x.start, x.end, vma.FlagShared|vma.FlagExec, vma.FlagWrite|vma.FlagMayWrite) {
		return o
	}
	page := x.arena.place[:os.Getpagesize()]
	o.try("mprotect(PROT_READ|PROT_WRITE)", sys.Mprotect(page, sys.ProtRead|sys.ProtWrite), syscall.EACCES,
		sys.Mprotect(x.ordinary.Plain, sys.ProtRead|sys.ProtWrite))
	control := rewrite(x.ordinary.ReadOnly)
	if control != nil { // proc_mem.force_override: not even that
		control = rewrite(x.ordinary.Plain)
	}
	o.try("write to /proc/self/mem", rewrite(page), syscall.EIO, control)
	return o
}

// rewrite writes the first byte of b through /proc/self/mem as it is.
func rewrite(b []byte) error {
	mem, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer mem.Close()
	_, err = mem.WriteAt(b[:1:1], int64(sys.Addr(b)))
	return err
}

// notElsewhere: it is the file that was sealed, and no mapping of this process shows the same bytes and
// can be written. The control is a
// memfd that is mapped twice.
func (x *examination) notElsewhere() outcome {
	o := outcome{source: "/proc/self/smaps", message: "no other mapping of the same memory can be written", raw: x.space.Lines(x.start, x.end)}
	for _, v := range x.space.Over(x.start, x.end) {
		if v.Flags.Has(vma.FlagWrite | vma.FlagExec) {
			o.broken = append(o.broken, view.Line(v))
		}
		o.broken = append(o.broken, x.writable(v)...)
		if !x.published(v) {
			o.broken = append(o.broken, "not the file that was sealed, or not its place: "+view.Line(v))
		}
	}
	twice := x.space.At(sys.Addr(x.ordinary.Twice[0]))
	if twice == nil || len(x.writable(twice)) == 0 {
		o.control = errors.New("a second mapping of ordinary memory is not seen")
	}
	o.shown = "a second, writable mapping of ordinary memory is seen"
	return o
}

// published reports whether a VMA is of the file that was published: of another one, who writes to it
// may be in another process.
func (x *examination) published(v *vma.VMA) bool {
	f := x.arena.file
	return f.Ino == v.Inode && sys.Major(f.Dev) == v.Dev.Major && sys.Minor(f.Dev) == v.Dev.Minor && v.Offset == v.Start-x.start
}

// writable returns the other mappings of what v shows that can be written.
func (x *examination) writable(v *vma.VMA) (lines []string) {
	for _, other := range x.space.Others(v) {
		if other.Flags&(vma.FlagWrite|vma.FlagMayWrite) != 0 {
			lines = append(lines, view.Line(other))
		}
	}
	return lines
}

// fixed: the whole arena is sealed, with its guards.
func (x *examination) fixed() outcome {
	start := sys.Addr(x.arena.all)
	end := start + uint64(len(x.arena.all))
	o := outcome{source: "/proc/self/smaps, mprotect", message: "the mapping is sealed, and so are its guards", raw: x.space.Lines(start, end)}
	if x.lacks(&o, start, end, vma.FlagSealed, 0) {
		return o
	}
	// As it is: it would change nothing.
	o.try("mprotect(PROT_READ|PROT_EXEC)", sys.MprotectRange(x.start, x.end, sys.ProtRead|sys.ProtExec), syscall.EPERM,
		sys.Mprotect(x.ordinary.Plain, sys.ProtRead|sys.ProtWrite))
	return o
}
