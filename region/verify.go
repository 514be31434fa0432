package region

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
	"github.com/safevma/safevma/region/internal/view"
)

// check is one thing that Verify looks at.
type check struct {
	rule        string
	requirement string
	of          set // it is asked of regions that have one of these
	severity    guarantee.Severity
	method      guarantee.Method
	judge       func(*examination) outcome
}

// checks are all, in the order in which they are done: first what needs the region closed, where
// it has windows.
var checks = []check{
	{"region-closed", "SV-INT-02", windowed, guarantee.High, guarantee.Probe, (*examination).shutNow},
	{"region-secret", "SV-LIN-01", secret, guarantee.High, guarantee.Probe, (*examination).outsideLinearMap},
	{"region-alone", "SV-XDM-01", secret, guarantee.High, guarantee.Read, (*examination).alone},
	{"region-descriptor", "SV-XDM-01", secret, guarantee.High, guarantee.Read, (*examination).noDescriptor},
	{"region-resident", "SV-RES-01", resident, guarantee.High, guarantee.Read, (*examination).resident},
	{"region-locked", "SV-RES-02", secret | resident | noSwap, guarantee.High, guarantee.Read, (*examination).locked},
	{"region-committed", "SV-CMT-01", onUse, guarantee.Medium, guarantee.Read, (*examination).committed},
	{"region-guards", "SV-TOP-02", guarded, guarantee.High, guarantee.Probe, (*examination).guards},
	{"region-canaries", canaryRequirement, guarded, guarantee.Critical, guarantee.Read, (*examination).canaries},
	{"region-sealed", "SV-TOP-01", sealed, guarantee.High, guarantee.Probe, (*examination).sealed},
	{"region-read-only", "SV-INT-01", readOnly, guarantee.Critical, guarantee.Probe, (*examination).readOnly},
	{"region-no-dump", "SV-XDM-05", noDump, guarantee.Medium, guarantee.Read, (*examination).notDumped},
	{"region-no-fork", "SV-XDM-02", noFork, guarantee.High, guarantee.Probe, (*examination).notForked},
	{"region-wiped-on-fork", "SV-XDM-02", wipeOnFork, guarantee.High, guarantee.Probe, (*examination).wiped},
	{"region-no-exec", "SV-XDM-03", noExec, guarantee.High, guarantee.Read, (*examination).notExecutable},
	{"region-no-merge", "SV-RES-02", noMerge, guarantee.Medium, guarantee.Read, (*examination).notMerged},
}

// outcome is what a check found.
type outcome struct {
	status  guarantee.Status
	source  string
	raw     []string
	message string
	control guarantee.Control
}

// examination is one run of Verify.
type examination struct {
	r        *Region
	pid      int
	space    *view.Space
	pages    []vma.Page
	pagesErr error
	ordinary *view.Ordinary
	// start and end are where the pages are.
	start, end uint64
}

// Verify looks at the region from the kernel's side, and attacks it in ways that do no harm: it
// returns one verdict for each thing that the region's guarantees promise, with the kernel's own
// words, and with the control on ordinary memory that shows that the check can fail. What could
// not be measured is [guarantee.Unknown].
//
// It waits until nobody is in Read or Write, and keeps both away while it runs, some
// milliseconds; a Windowed region is open to read for a part of that. It makes child processes
// where the region has NoFork or WipeOnFork. The error is [ErrClosed], or says that this process
// can't be looked at.
func (r *Region) Verify() ([]guarantee.Verdict, error) {
	if err := r.occupy("verify"); err != nil {
		return nil, err
	}
	defer r.release()
	runtime.LockOSThread() // for the child processes, and the rights of a protection key
	defer runtime.UnlockOSThread()
	from := time.Now()
	x, err := r.examine()
	if err != nil {
		return nil, &Error{Op: "verify", Reason: "this process can't be looked at", Err: both(ErrUnsupported, err)}
	}
	defer x.ordinary.Close()
	subject := r.subject()
	var verdicts []guarantee.Verdict
	for _, c := range checks {
		if r.has&c.of == 0 {
			continue
		}
		verdicts = append(verdicts, c.verdict(c.judge(x), subject, from))
	}
	return verdicts, nil
}

// examine reads what all checks need.
func (r *Region) examine() (*examination, error) {
	x := &examination{r: r, pid: os.Getpid(), start: sys.Addr(r.pages)}
	x.end = x.start + uint64(len(r.pages))
	p, err := process.Default().Self()
	if err != nil {
		return nil, err
	}
	defer p.Close()
	if x.ordinary, err = view.NewOrdinary(); err != nil {
		return nil, err
	}
	if x.space, err = view.Read(p); err != nil {
		return nil, errors.Join(err, x.ordinary.Close())
	}
	x.pages, x.pagesErr = x.space.Pages(x.start, x.end)
	return x, nil
}

func (r *Region) subject() guarantee.Subject {
	s := guarantee.Subject{Kind: guarantee.KindRegion, PID: os.Getpid(),
		Name: fmt.Sprintf("%s at %x, %d bytes", r.has, sys.Addr(r.pages)+uint64(r.begin()), r.size)}
	if p, err := process.Default().Self(); err == nil {
		defer p.Close()
		if info, err := p.Glance(); err == nil {
			s.StartTime, s.Exe = info.StartTime, guarantee.Text(info.Exe)
		}
	}
	return s
}

// rawShown is how many lines a verdict keeps.
const rawShown = 16

func (c *check) verdict(o outcome, subject guarantee.Subject, from time.Time) guarantee.Verdict {
	if o.status == guarantee.Holds && o.control.Status != guarantee.ControlPassed {
		o.status = guarantee.Unknown
		o.message = "nothing speaks against it, but the check could not be shown able to fail"
	}
	return guarantee.Verdict{
		Requirement: c.requirement, Rule: c.rule, Status: o.status, Severity: c.severity, Subject: subject, Method: c.method,
		Observation: guarantee.Observation{Source: o.source, Raw: o.raw[:min(len(o.raw), rawShown)], Total: len(o.raw)},
		Control:     o.control, Window: guarantee.Since(from), Message: o.message,
	}
}

// occupy waits until the region is nobody's, and keeps it so until release. It does not open
// it.
func (r *Region) occupy(op string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for (r.writing || r.readers > 0) && !r.closed {
		r.waiting++
		r.change.Wait()
		r.waiting--
	}
	if r.closed {
		return &Error{Op: op, Err: ErrClosed}
	}
	r.writing = true
	return nil
}

func (r *Region) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writing = false
	if r.waiting > 0 {
		r.change.Broadcast()
	}
}

// opened calls do while the region can be read. It is occupied.
func (x *examination) opened(do func()) error {
	if !x.r.has.has(windowed) {
		do()
		return nil
	}
	x.r.mu.Lock()
	err := x.r.open("verify", false)
	x.r.mu.Unlock()
	if err != nil {
		return err
	}
	do()
	x.r.mu.Lock()
	defer x.r.mu.Unlock()
	return x.r.close("verify")
}
