package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/safevma/safevma/audit/manifest"
	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/host"
	"github.com/safevma/safevma/kernel/memfd"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/rules"
)

// Config says what is audited, and how.
type Config struct {
	// Proc is the proc file system; the zero value is the running kernel's.
	Proc process.FS
	// Host reads the facts of the host; nil is the running system's.
	Host *host.Reader
	// Rules that are applied.
	Rules []*rules.Rule
	// Scope picks the processes that are judged; empty means all. The others are read
	// too, for what they share with those.
	Scope []Selector
	// HostOnly leaves out all rules about processes and what they map, SkipHost those
	// about the host.
	HostOnly, SkipHost bool
	// Declared picks the workloads of which the guarantees are asked: see rules with
	// "declared: true".
	Declared []Selector
	// Manifest is what the declared processes, or without any those in scope, are
	// expected to have; nil for none.
	Manifest *manifest.Manifest
	// PolicyHelper is the command that is run in a foreign PID namespace to try what
	// vm.memfd_noexec does there; it must call memfd.ServePolicy. Empty: foreign
	// namespaces are unknown.
	PolicyHelper []string
	// Progress is told how many of the processes have been read; nil for nobody. It is
	// called by one goroutine at a time.
	Progress func(done, total int)
	// Tool names the program in the report.
	Tool guarantee.Tool
}

// auditor is one run.
type auditor struct {
	Config
	start     time.Time
	vmaRules  []*rules.Rule
	pageRules []*rules.Rule // those of them that need pages counted
	needs     map[string]bool
	devices   memfd.Devices
	pids      []int
	hidden    string // why some processes can't even be listed
	controls  controls
	inventory *memfd.Inventory
	host      *host.Facts
	view      *hostView
}

// Run audits, and returns the report. What could not be read is in the report; the error
// is for what keeps the audit from running at all.
//
// What it does to the host: it maps a few pages of its own, makes memfds (executable ones
// too, to see whether they are refused) and, where the kernel has it, an empty file of
// secret memory, and closes them again; it mounts securityfs and tracefs without attaching
// them anywhere, where they are not mounted; it starts PolicyHelper once or twice for each
// foreign PID namespace. It changes no other process and no setting.
func Run(ctx context.Context, config Config) (*guarantee.Report, error) {
	if len(config.Rules) == 0 && config.Manifest == nil {
		return nil, ErrNothingToAudit
	}
	a := &auditor{Config: config, start: now(), needs: map[string]bool{}}
	if a.Proc == (process.FS{}) {
		a.Proc = process.Default()
	}
	if a.Host == nil {
		a.Host = hostOf(a.Proc)
	}
	a.sortRules()
	var err error
	if a.host, err = a.Host.Read(ctx); err != nil {
		return nil, err
	}
	if a.devices, err = memfd.LearnDevices(); err != nil {
		return nil, fmt.Errorf("learn where this kernel keeps memfds: %w", err)
	}
	a.controls = runControls(a.Proc, a.devices, a.host)
	subjects, err := a.subjects(ctx)
	if err != nil {
		return nil, err
	}
	defer release(subjects)
	verdicts, err := a.judge(ctx, subjects)
	if err != nil {
		return nil, err
	}
	coverage := a.coverage(subjects)
	return guarantee.NewReport(a.Tool, a.host.Identity(), guarantee.Since(a.start), verdicts, coverage)
}

// ErrNothingToAudit: no rule and no manifest was given.
var ErrNothingToAudit = errors.New("no rules and no manifest: nothing would be audited")

// hostOf returns what reads the host that a proc file system is of. Of a copy nothing else
// is known: what stands beside it on this machine is of another host.
func hostOf(proc process.FS) *host.Reader {
	r := host.New(proc.Root(), "")
	if !proc.Live() {
		elsewhere := proc.Path("no such place")
		r.Sys, r.Dev, r.Boot, r.Modules = elsewhere, elsewhere, elsewhere, elsewhere
	}
	return r
}

func (a *auditor) sortRules() {
	for _, r := range a.Rules {
		if r.Subject == rules.SubjectVMA {
			a.vmaRules = append(a.vmaRules, r)
			if r.NeedsSource(rules.SubjectVMA, "pagemap") {
				a.pageRules = append(a.pageRules, r)
			}
		}
		for _, need := range r.Needs() {
			a.needs[need] = true
		}
	}
}

// needsForeign: counting shared pages is dear, and only done for a rule that asks.
func (a *auditor) needsForeign() bool {
	return len(a.Declared) > 0 && (a.needs["vma.foreign_pages"] || a.needs["vma.foreign_owners"])
}

func (a *auditor) progress(done, total int) {
	if a.Progress != nil {
		a.Progress(done, total)
	}
}

// rounds is how often processes are listed: those that began while the others were read
// are read in the next round.
const rounds = 3

// subjects reads the processes. With HostOnly they are not looked into. Those that begin
// after the last round are not in the window of the audit.
func (a *auditor) subjects(ctx context.Context) ([]*subject, error) {
	if a.HostOnly {
		return nil, nil
	}
	a.hidden = hiddenProcesses(a.Proc)
	var all []*subject
	seen := map[int]bool{}
	for range rounds {
		pids, err := a.Proc.PIDs()
		if err != nil {
			release(all)
			return nil, err
		}
		pids = slices.DeleteFunc(pids, func(pid int) bool { return seen[pid] })
		for _, pid := range pids {
			seen[pid] = true
		}
		c := collector{a}
		subjects, err := c.collect(ctx, pids)
		all = append(all, subjects...)
		if err != nil {
			release(all)
			return nil, err
		}
		a.pids = append(a.pids, pids...)
		if len(pids) == 0 {
			break
		}
	}
	if a.needsForeign() {
		if err := a.findForeign(ctx, all); err != nil {
			release(all)
			return nil, err
		}
	}
	return all, nil
}

func release(subjects []*subject) {
	for _, s := range subjects {
		if s != nil && s.process != nil {
			s.process.Close()
		}
	}
}

// coverage says what was read and what was not; nil where nothing was to be read.
func (a *auditor) coverage(subjects []*subject) *guarantee.Coverage {
	if a.HostOnly {
		return nil
	}
	c := &guarantee.Coverage{Gone: []guarantee.Missed{}, Denied: []guarantee.Missed{}, Failed: []guarantee.Missed{}}
	for _, s := range subjects {
		missed := guarantee.Missed{PID: s.info.PID, Name: s.name()}
		if s.err != nil {
			missed.Reason = guarantee.Text(s.err.Error())
		}
		switch {
		case s.info.KernelThread:
			c.KernelThreads++
		case s.err == nil:
			c.Processes++
			c.VMAs += s.vmas
		case errors.Is(s.err, process.ErrDenied):
			c.Denied = append(c.Denied, missed)
		case s.gone():
			c.Gone = append(c.Gone, missed)
		default:
			c.Failed = append(c.Failed, missed)
		}
	}
	return c
}

// sortVerdicts: worst first, then by severity, requirement, rule and subject, so that two
// runs can be compared.
func sortVerdicts(verdicts []guarantee.Verdict) {
	statuses := guarantee.Statuses()
	severities := guarantee.Severities()
	slices.SortStableFunc(verdicts, func(a, b guarantee.Verdict) int {
		if d := slices.Index(statuses, a.Status) - slices.Index(statuses, b.Status); d != 0 {
			return d
		}
		if d := slices.Index(severities, b.Severity) - slices.Index(severities, a.Severity); d != 0 {
			return d
		}
		return compareVerdicts(&a, &b)
	})
}
