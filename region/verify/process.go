package verify

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/memfd"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
	"github.com/safevma/safevma/region/internal/view"
)

// Options says what to look at, and what it must have.
type Options struct {
	// Start and End limit the addresses, [Start, End): what is there is verified whatever it
	// shows. Both 0 look at all memory that shows some protection.
	Start, End uint64
	// Require names guarantees, see [Names], that all of it must have: what lacks one is broken.
	Require []string
}

func (o *Options) ranged() bool { return o.End > 0 }

// ErrName reports a name in [Options.Require] that is none of [Names].
var ErrName = errors.New("there is no guarantee of that name")

// Names returns the names of what can be required, as package region has them.
func Names() []string {
	var names []string
	for _, p := range properties {
		names = append(names, p.name)
	}
	return names
}

func (o *Options) check() error {
	for _, name := range o.Require {
		if !slices.Contains(Names(), name) {
			return fmt.Errorf("%q: %w; there are %s", name, ErrName, strings.Join(Names(), ", "))
		}
	}
	return nil
}

// Result is what was found of a process.
type Result struct {
	Window   guarantee.Window
	Verdicts []guarantee.Verdict
	// VMAs counts those of the process, Areas those ranges of which the verdicts speak.
	VMAs, Areas int
}

// examination is one look at a process.
type examination struct {
	options  Options
	process  *process.Process
	self     *process.Process
	info     process.Info
	devices  memfd.Devices
	space    *view.Space
	own      *view.Space // of this process: the controls are read by the same code
	ordinary *view.Ordinary
	from     time.Time
}

// Process verifies the memory of a process. Its errors are [ErrName], and those of
// [vma.Reader.Smaps]: the process is gone, has no memory, or may not be looked at.
func Process(proc process.FS, pid int, options Options) (*Result, error) {
	if err := options.check(); err != nil {
		return nil, err
	}
	x := &examination{options: options, from: time.Now()}
	var err error
	if x.devices, err = memfd.LearnDevices(); err != nil {
		return nil, err
	}
	if x.process, err = proc.Open(pid); err != nil {
		return nil, err
	}
	defer x.process.Close()
	if x.self, err = proc.Self(); err != nil {
		return nil, err
	}
	defer x.self.Close()
	if x.ordinary, err = view.NewOrdinary(); err != nil {
		return nil, err
	}
	defer x.ordinary.Close()
	if err := x.read(); err != nil {
		return nil, err
	}
	return x.judge()
}

func (x *examination) read() (err error) {
	if x.info, err = x.process.Glance(); err != nil {
		return err
	}
	if x.own, err = view.Read(x.self); err != nil {
		return err
	}
	x.space, err = view.Read(x.process)
	return err
}

func (x *examination) judge() (*Result, error) {
	from, to := x.options.Start, x.options.End
	if !x.options.ranged() {
		to = 1<<64 - 1
	}
	areas := x.find(from, to)
	result := &Result{VMAs: len(x.space.VMAs), Areas: len(areas)}
	var found []guarantee.Verdict
	for i := range areas {
		for _, p := range properties {
			found = append(found, x.verdict(&areas[i], &p))
		}
	}
	if len(x.options.Require) > 0 {
		if len(areas) == 0 {
			seen := fmt.Sprintf("%d VMAs, none of which shows protection", len(x.space.VMAs))
			found = append(found, x.nothing([]string{seen}, "no memory has it"))
		} else if gaps := x.gaps(); len(gaps) > 0 {
			found = append(found, x.nothing(gaps, "a part of the addresses is not mapped"))
		}
	}
	after, err := view.Read(x.process)
	if err != nil {
		return nil, err
	}
	x.doubt(found, areas, after)
	result.Verdicts = found
	result.Window = guarantee.Since(x.from)
	return result, nil
}

// doubt makes unknown what was said of memory that changed meanwhile.
func (x *examination) doubt(found []guarantee.Verdict, areas []area, after *view.Space) {
	for i := range areas {
		if same(areas[i].vmas, after.Over(areas[i].start, areas[i].end)) {
			continue
		}
		for j := range properties {
			v := &found[i*len(properties)+j]
			v.Status, v.Message = guarantee.Unknown, "the mapping changed while it was looked at"
		}
	}
}

func same(before, after []*vma.VMA) bool {
	return slices.EqualFunc(before, after, func(a, b *vma.VMA) bool {
		return a.Start == b.Start && a.End == b.End && a.Perm == b.Perm && a.Flags == b.Flags && a.Inode == b.Inode
	})
}

// gaps returns lines for what is not mapped of the addresses that were given.
func (x *examination) gaps() []string {
	if !x.options.ranged() {
		return nil
	}
	return x.space.Gaps(x.options.Start, x.options.End)
}

// nothing is the verdict on what is required where nothing is that could have it.
func (x *examination) nothing(raw []string, message string) guarantee.Verdict {
	p := propertyNamed(x.options.Require[0])
	return guarantee.Verdict{
		Requirement: p.requirement, Rule: p.rule, Status: guarantee.Broken, Severity: p.severity,
		Subject: x.subject(nil), Method: guarantee.Read,
		Observation: guarantee.Observation{Source: x.process.Path("smaps"), Raw: raw[:min(len(raw), rawShown)], Total: len(raw)},
		Control:     view.Absent("nothing to compare"),
		Window:      guarantee.Since(x.from), Message: strings.Join(x.options.Require, ", ") + ": " + message,
	}
}

func (x *examination) subject(a *area) guarantee.Subject {
	s := guarantee.Subject{Kind: guarantee.KindProcess, PID: x.info.PID, StartTime: x.info.StartTime,
		Name: guarantee.Text(x.info.Comm), Exe: guarantee.Text(x.info.Exe)}
	if a == nil {
		return s
	}
	s.Kind = guarantee.KindRegion
	s.Name = fmt.Sprintf("%x-%x %s %s", a.start, a.end, a.vmas[0].Perm, a.words())
	return s
}

// words says in two what an area is.
func (a *area) words() string {
	what := "anonymous memory"
	switch {
	case a.kind == memfd.Secret:
		what = "secret memory"
	case len(a.vmas[0].Name) > 0:
		what = guarantee.Text(a.vmas[0].Name)
	}
	switch {
	case a.any(vma.FlagLocked) && a.kind != memfd.Secret:
		return "locked " + what
	case closed(a.vmas[0]):
		return "closed " + what
	}
	return what
}

// take reads as other processes do, and forgets what it read.
func (x *examination) take(addr uint64) error {
	var b [8]byte
	_, err := sys.ProcessVMRead(x.info.PID, b[:], addr)
	return err
}
