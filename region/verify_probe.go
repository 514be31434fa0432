package region

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/memfd"
	"github.com/safevma/safevma/kernel/vma"
	"github.com/safevma/safevma/region/internal/view"
)

// What is tried. Each attempt would do no harm if it succeeded.

// attempt is the answer to one, as a raw line: "EFAULT", or what came back.
func attempt(call string, err error) string {
	if err == nil {
		return call + ": succeeded"
	}
	if name := sys.ErrnoName(err); name != "" {
		return call + ": " + name
	}
	return call + ": " + guarantee.Text(err.Error())
}

// probed is the outcome of an attempt that should be refused with want.
func probed(o outcome, call string, got error, want syscall.Errno, control error) outcome {
	o.raw = append(o.raw, attempt(call, got))
	switch {
	case control != nil:
		o.control = view.Failed("on ordinary memory, %s", attempt(call, control))
	default:
		o.control = view.Passed("on ordinary memory, %s", attempt(call, nil))
	}
	switch {
	case o.status == guarantee.Broken:
	case got == nil:
		o.status = guarantee.Broken
	case !errors.Is(got, want):
		o.status = guarantee.Unknown
		o.message = fmt.Sprintf("%s, where %s was expected", attempt(call, got), sys.ErrnoName(want))
	}
	return o
}

// read takes memory the way another process does: the kernel takes the pages by itself.
func (x *examination) read(addr uint64) error {
	var b [8]byte
	_, err := sys.ProcessVMRead(x.pid, b[:], addr)
	return err
}

// learnt are the devices, once they are known: they stay the same until the next boot.
var learnt atomic.Pointer[memfd.Devices]

// secretDevices learns them. A failure may be of this moment, such as too many open files.
func secretDevices() (memfd.Devices, error) {
	if known := learnt.Load(); known != nil {
		return *known, nil
	}
	devices, err := memfd.LearnDevices()
	if err == nil && devices.Secret != (memfd.Device{}) {
		learnt.Store(&devices)
	}
	return devices, err
}

// isSecret reports whether all of it is secret memory.
func (x *examination) isSecret() bool { return len(x.notSecret()) == 0 }

// notSecret returns the lines of what is not.
func (x *examination) notSecret() []string {
	devices, _ := secretDevices() // of zero devices, nothing is
	lines := x.space.Gaps(x.start, x.end)
	for _, v := range x.space.Over(x.start, x.end) {
		if devices.Classify(v.Dev.Major, v.Dev.Minor, string(v.Name)) != memfd.Secret {
			lines = append(lines, view.Line(v))
		}
	}
	return lines
}

// secretControl: an ordinary memfd is told from secret memory.
func (x *examination) secretControl() guarantee.Control {
	devices, _ := secretDevices()
	v := x.space.At(sys.Addr(x.ordinary.Twice[0]))
	if v == nil || devices.Classify(v.Dev.Major, v.Dev.Minor, string(v.Name)) != memfd.Memfd {
		return view.Failed("an ordinary memfd is not told from secret memory")
	}
	return view.Passed("an ordinary memfd, in the same list, is told from it: %s", view.Line(v))
}

func (x *examination) outsideLinearMap() outcome {
	const call = "process_vm_readv"
	o := outcome{status: guarantee.Holds, source: smaps + ", " + call,
		message: "it is secret memory: the kernel's linear map has no page of it, and GUP refuses it"}
	if devices, err := secretDevices(); err != nil || devices.Secret == (memfd.Device{}) {
		return unknown(smaps, "what secret memory looks like could not be learnt: %v", err)
	}
	o.raw = x.notSecret()
	if len(o.raw) > 0 {
		o.status, o.message = guarantee.Broken, "it is not secret memory"
	} else {
		o.raw = x.space.Lines(x.start, x.end)
	}
	// Opened, since closed memory is refused whatever it is.
	var got error
	if err := x.opened(func() { got = x.read(x.start) }); err != nil {
		return unknown(call, "%v", err)
	}
	if got == nil {
		o.message = "the kernel gave its content to process_vm_readv"
	}
	return probed(o, call, got, syscall.EFAULT, x.read(sys.Addr(x.ordinary.Plain)))
}

func (x *examination) guards() outcome {
	call, read := "process_vm_readv of a guard", x.read
	control := read(sys.Addr(x.ordinary.Plain))
	if isForbidden(control) || errors.Is(control, syscall.ENOSYS) { // a policy; this can't be forbidden
		call, read = "write(2) of a guard to a pipe", func(addr uint64) error { return take(sys.MemoryAt(addr, 1)) }
		control = take(x.ordinary.Plain)
	}
	o := outcome{status: guarantee.Holds, source: smaps + ", " + call, message: "both sides are inaccessible"}
	var got error = syscall.EFAULT
	for _, at := range []uint64{x.start - vma.PageSize, x.end} {
		bad := x.guardLines(at)
		if err := read(at); !errors.Is(err, syscall.EFAULT) {
			got = err
			if err == nil {
				bad = append(bad, fmt.Sprintf("%s at %x", attempt(call, err), at))
			}
		}
		if len(bad) > 0 {
			o.status, o.message = guarantee.Broken, "a guard is missing"
			o.raw = append(o.raw, bad...)
		} else if o.status == guarantee.Holds {
			o.raw = append(o.raw, x.space.Lines(at, at+vma.PageSize)...)
		}
	}
	return probed(o, call, got, syscall.EFAULT, control)
}

// guardLines returns the lines that speak against the guard page at addr. A mark in the page
// table of an accessible mapping is told by the attempt alone.
func (x *examination) guardLines(addr uint64) []string {
	lines := x.space.Gaps(addr, addr+vma.PageSize)
	for _, v := range x.space.Over(addr, addr+vma.PageSize) {
		if v.Perm&(vma.PermRead|vma.PermWrite|vma.PermExec) != 0 && !x.r.oneMapping {
			lines = append(lines, view.Line(v))
		}
	}
	return lines
}

func (x *examination) canaries() outcome {
	o := outcome{status: guarantee.Holds, source: "the canaries", message: "what stands beside the data is as it was set"}
	before, behind := x.r.slack()
	var found error
	look := func() {
		if err := survived(func() { found = x.r.checkCanaries("verify") }); err != nil {
			found = fmt.Errorf("a part of them can't be read: %w", err)
		}
	}
	if err := x.opened(look); err != nil {
		return unknown(o.source, "%v", err)
	}
	if firstDamage(x.ordinary.Plain) < 0 {
		o.control = view.Failed("a page without canaries passes")
	} else {
		o.control = view.Passed("a page without canaries does not pass")
	}
	o.raw = []string{fmt.Sprintf("%d bytes before the data, %d behind", len(before), len(behind))}
	if found != nil {
		o.status, o.message = guarantee.Broken, "a canary was overwritten"
		o.raw = append(o.raw, guarantee.Text(found.Error()))
	}
	return o
}

// survived returns a fault of do as an error: a page may be gone.
func survived(do func()) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%v", fault)
		}
	}()
	do()
	return nil
}

func (x *examination) sealed() outcome {
	const call = "mprotect to the same protection"
	start := sys.Addr(x.r.whole)
	end := start + uint64(len(x.r.whole))
	o := outcome{status: guarantee.Holds, source: smaps + ", " + call, message: "the mapping is sealed, and so are its guards"}
	if o.raw = x.space.Lacking(start, end, vma.FlagSealed, 0); len(o.raw) > 0 {
		o.status, o.message = guarantee.Broken, "a part of the mapping is not sealed"
	} else {
		o.raw = x.space.Lines(start, end)
	}
	var got error = syscall.EPERM
	for _, v := range x.space.Over(start, end) {
		err := sys.MprotectRange(max(v.Start, start), min(v.End, end), protOf(v.Perm))
		if !errors.Is(err, syscall.EPERM) {
			got = err
		}
	}
	if got == nil && o.status == guarantee.Holds {
		o.message = "the kernel took a change of the mapping"
	}
	o = probed(o, call, got, syscall.EPERM, sys.Mprotect(x.ordinary.Plain, readWrite))
	if v := x.space.At(sys.Addr(x.ordinary.Plain)); v == nil || v.Flags.Has(vma.FlagSealed) {
		o.control = view.Failed("an ordinary page looks sealed, or is not in the list")
	}
	return o
}

func protOf(p vma.Perm) int {
	prot := sys.ProtNone
	if p.Has(vma.PermRead) {
		prot |= sys.ProtRead
	}
	if p.Has(vma.PermWrite) {
		prot |= sys.ProtWrite
	}
	if p.Has(vma.PermExec) {
		prot |= sys.ProtExec
	}
	return prot
}

// readOnly looks at the mapping, at the file that it is of, and at others of the same file, and then tries to get past it.
func (x *examination) readOnly() outcome {
	o := outcome{status: guarantee.Holds, source: smaps + ", mprotect, /proc/self/mem",
		message: "it is a shared mapping of a file that is sealed against writing; what passes ordinary protection is refused, too"}
	o.raw = x.space.Lacking(x.start, x.end, vma.FlagShared, vma.FlagWrite|vma.FlagMayWrite)
	for _, v := range x.space.Over(x.start, x.end) {
		if len(o.raw) == 0 && !x.r.shows(v) { // its writers may be elsewhere
			o.raw = append(o.raw, "not the file that was sealed, or not its place: "+view.Line(v))
		}
		for _, other := range x.space.Others(v) {
			if other.Flags&(vma.FlagWrite|vma.FlagMayWrite) != 0 {
				o.raw = append(o.raw, view.Line(other))
			}
		}
	}
	if len(o.raw) > 0 {
		o.status, o.message = guarantee.Broken, "the memory can be written"
		o.control = x.flagControl(vma.FlagShared, vma.FlagWrite|vma.FlagMayWrite, x.ordinary.Plain)
		return o
	}
	o.raw = x.space.Lines(x.start, x.end)
	got := sys.Mprotect(x.r.pages[:pageSize], readWrite)
	if got == nil {
		_ = sys.Mprotect(x.r.pages[:pageSize], protOf(x.space.At(x.start).Perm))
	}
	o = probed(o, "mprotect(PROT_READ|PROT_WRITE)", got, syscall.EACCES, sys.Mprotect(x.ordinary.Plain, readWrite))
	if o.status != guarantee.Holds || o.control.Status != guarantee.ControlPassed {
		return o
	}
	first := o.control
	var onRegion error
	if err := x.opened(func() { onRegion = rewrite(x.r.pages) }); err != nil {
		return unknown("/proc/self/mem", "%v", err)
	}
	o = probed(o, "write to /proc/self/mem", onRegion, syscall.EIO, forced(x.ordinary))
	o.control.Detail = first.Detail + "; " + o.control.Detail
	return o
}

// forced writes where the mapping forbids it; and where this kernel forbids that altogether
// (proc_mem.force_override), where it may.
func forced(o *view.Ordinary) error {
	if err := rewrite(o.ReadOnly); err == nil {
		return nil
	}
	return rewrite(o.Plain)
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

// shutNow looks at a Windowed region while no window is open.
func (x *examination) shutNow() outcome {
	const call = "write(2) from it to a pipe"
	o := outcome{status: guarantee.Holds, source: smaps + ", " + call, message: "outside of its windows it is closed"}
	for _, v := range x.space.Over(x.start, x.end) {
		closed := v.Perm&(vma.PermRead|vma.PermWrite|vma.PermExec) == 0
		if x.r.key != noKey {
			closed = v.Mem.ProtectionKey == uint8(x.r.key)
		}
		if !closed {
			o.raw = append(o.raw, view.Line(v))
		}
	}
	if len(o.raw) > 0 {
		o.status, o.message = guarantee.Broken, "it is open outside of its windows"
	} else {
		o.raw = x.space.Lines(x.start, x.end)
	}
	w := x.r.Windows()
	o.raw = append(o.raw, fmt.Sprintf("windows: %d to read, %d to write, open for %s in all, %s at most",
		w.Reads, w.Writes, w.Open, w.Longest))
	got := take(x.r.pages)
	if got == nil && o.status == guarantee.Holds {
		o.message = "its content can be read outside of its windows"
	}
	return probed(o, call, got, syscall.EFAULT, take(x.ordinary.Plain))
}

// take has the kernel copy a byte of b on behalf of this thread.
func take(b []byte) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	defer w.Close()
	_, err = w.Write(b[:1])
	return err
}

func (x *examination) notForked() outcome {
	o := x.flags(vma.FlagDontCopy, 0, x.ordinary.Plain, "a child does not have it", "a child has it")
	return x.child(o, func(seen []byte, refused error) bool { return errors.Is(refused, syscall.EFAULT) }, "a child reads it")
}

func (x *examination) wiped() outcome {
	o := x.flags(vma.FlagWipeOnFork, 0, x.ordinary.Plain, "a child finds zeroes in it", "a child finds its content in it")
	return x.child(o, func(seen []byte, refused error) bool {
		return refused == nil && bytes.Equal(seen, make([]byte, len(seen)))
	},
		"a child finds its content in it")
}

// child has a forked child read each page's begin, in a window where there are some.
func (x *examination) child(o outcome, good func(seen []byte, refused error) bool, bad string) outcome {
	o.source += ", a forked child"
	seen, refused, err := sys.ForkRead(x.ordinary.Plain[:len(view.Pattern)])
	if err != nil {
		return x.noChild(o, err)
	}
	if refused != nil || string(seen) != view.Pattern {
		o.control = view.Failed("a child does not see ordinary memory: %v, %q", refused, seen)
	} else {
		o.control = view.Passed("a child sees the content of an ordinary page; %s", o.control.Detail)
	}
	if werr := x.opened(func() { seen, refused, err = sys.ForkRead(x.r.pages[:8]) }); werr != nil || err != nil {
		return x.noChild(o, errors.Join(werr, err))
	}
	line := "child: " + attempt("read", refused)
	if refused == nil {
		line = fmt.Sprintf("child: reads %d bytes, zero is %v", len(seen), bytes.Equal(seen, make([]byte, len(seen))))
	}
	o.raw = append(o.raw, line)
	if !good(seen, refused) {
		o.status, o.message = guarantee.Broken, bad
	}
	return o
}

func (x *examination) noChild(o outcome, err error) outcome {
	if o.status == guarantee.Broken {
		return o
	}
	return unknown(o.source, "no child could be made to look: %v", err)
}
