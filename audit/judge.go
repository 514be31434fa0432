package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
	"github.com/safevma/safevma/rules"
)

// judge applies the rules: one verdict for each rule and each subject.
func (a *auditor) judge(ctx context.Context, subjects []*subject) ([]guarantee.Verdict, error) {
	a.inventory = inventory(subjects, a.devices)
	files := a.inventory.Files()
	a.view = newHostView(a.host, files, a.incomplete(subjects))
	var verdicts []guarantee.Verdict
	if !a.SkipHost {
		verdicts = a.judgeHost()
	}
	if !a.HostOnly {
		each, err := a.judgeProcesses(ctx, subjects)
		if err != nil {
			return nil, err
		}
		verdicts = append(verdicts, each...)
		verdicts = append(verdicts, a.judgeInodes(subjects)...)
		verdicts = append(verdicts, a.judgeMemfds(files, subjects)...)
		verdicts = append(verdicts, a.judgeManifest(subjects)...)
		verdicts = append(verdicts, a.judgeMissing(subjects)...)
		verdicts = append(verdicts, a.judgeSelectors(subjects)...)
	}
	verdicts = append(verdicts, a.judgeNamespaces(ctx, subjects)...)
	sortVerdicts(verdicts)
	return verdicts, ctx.Err()
}

func compareVerdicts(a, b *guarantee.Verdict) int {
	return cmp.Or(cmp.Compare(a.Requirement, b.Requirement), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Subject.PID, b.Subject.PID),
		cmp.Compare(a.Subject.Device, b.Subject.Device), cmp.Compare(a.Subject.Inode, b.Subject.Inode), cmp.Compare(a.Subject.Name, b.Subject.Name))
}

// rulesOf returns the rules about one kind of subject.
func (a *auditor) rulesOf(kind rules.Subject) []*rules.Rule {
	var of []*rules.Rule
	for _, r := range a.Rules {
		if r.Subject == kind {
			of = append(of, r)
		}
	}
	return of
}

// incomplete says which processes were not read, for facts that span all of them: ""
// where all were.
func (a *auditor) incomplete(subjects []*subject) string {
	if a.HostOnly {
		return "processes were not read"
	}
	var reasons, missed []string
	for _, gap := range a.devices.Gaps {
		reasons = append(reasons, fmt.Sprintf("files of kind %s can't be recognised: %s", gap.Kind, guarantee.Text(gap.Err.Error())))
	}
	if a.hidden != "" {
		reasons = append(reasons, a.hidden)
	}
	for _, s := range subjects {
		if reason := s.unseen(); reason != nil {
			missed = append(missed, fmt.Sprint(s.info.PID))
		}
	}
	if n := len(missed); n > 0 {
		if n > 8 {
			missed = append(missed[:8], "…")
		}
		reasons = append(reasons, fmt.Sprintf("%d processes could not be read in full: %s", n, strings.Join(missed, ", ")))
	}
	return strings.Join(reasons, "; ")
}

// unseen returns why something of the process is not known. A process that has ended
// has nothing more to hide.
func (s *subject) unseen() error {
	switch {
	case s.info.KernelThread, s.err != nil && s.gone():
		return nil
	case s.err != nil:
		return s.err
	case s.fdErr != nil && !errors.Is(s.fdErr, process.ErrGone):
		return s.fdErr
	}
	return nil
}

// gone reports whether the process ended before it could be read.
func (s *subject) gone() bool {
	return errors.Is(s.err, process.ErrGone) || errors.Is(s.err, vma.ErrNoAddressSpace)
}

// judgeProcesses applies the rules about processes and their mappings, to several
// processes at a time.
func (a *auditor) judgeProcesses(ctx context.Context, subjects []*subject) ([]guarantee.Verdict, error) {
	perSubject := make([][]guarantee.Verdict, len(subjects))
	ofProcess := a.rulesOf(rules.SubjectProcess)
	next := make(chan int)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range next {
				perSubject[i] = a.judgeProcess(subjects[i], ofProcess)
			}
		})
	}
	for i, s := range subjects {
		if s.judged() && ctx.Err() == nil {
			next <- i
		}
	}
	close(next)
	wg.Wait()
	return slices.Concat(perSubject...), ctx.Err()
}

// judged reports whether there are verdicts about the process.
func (s *subject) judged() bool {
	return s.inScope && !s.info.KernelThread && (s.err == nil || !s.gone())
}

func (a *auditor) judgeProcess(s *subject, ofProcess []*rules.Rule) []guarantee.Verdict {
	facts := rules.Facts{Process: processFacts(s), Host: &a.view.Host}
	verdicts := make([]guarantee.Verdict, 0, len(ofProcess)+len(a.vmaRules))
	for _, r := range ofProcess {
		if r.Declared && !s.declared {
			continue
		}
		verdicts = append(verdicts, a.verdict(r, s.subject(), s.window, a.controls.process, r.Eval(&facts), guarantee.Observation{
			Source: s.path("status"), Raw: []string{s.observed(r)}, Total: 1,
		}))
	}
	for _, r := range a.vmaRules {
		if r.Declared && !s.declared {
			continue
		}
		verdicts = append(verdicts, a.judgeSpace(r, s, facts))
	}
	return verdicts
}

// judgeSpace applies one rule to all mappings of a process.
func (a *auditor) judgeSpace(r *rules.Rule, s *subject, facts rules.Facts) guarantee.Verdict {
	source := guarantee.Observation{Source: s.path("smaps")}
	if s.err != nil {
		result := rules.Result{Status: guarantee.Unknown, Message: "its address space could not be read: " + why(s.err)}
		return a.verdict(r, s.subject(), s.window, a.controls.space, result, source)
	}
	tally := newTally(fmt.Sprintf("%d mappings were read, none breaks it", s.vmas), source)
	for i := range s.candidates {
		v := &s.candidates[i]
		if !r.MatchVMA(v.vma.Perm, v.vma.Flags, v.kind) {
			continue
		}
		facts.VMA = a.vmaFacts(v)
		result := r.Eval(&facts)
		tally.add(result, func() string { return v.observed(r) })
		if errors.Is(result.Err, rules.ErrCost) {
			break // it would cost as much on each of thousands of mappings
		}
	}
	result, observation := tally.outcome()
	return a.verdict(r, s.subject(), s.window, a.controlOf(r), result, observation)
}

// controlOf returns the control that shows what a rule about mappings reads: the first
// that did not pass of those that it needs.
func (a *auditor) controlOf(r *rules.Rule) guarantee.Control {
	control := a.controls.space
	for source, of := range map[string]guarantee.Control{"pagemap": a.controls.pages, "kpagecount": a.controls.frames} {
		if control.Status == guarantee.ControlPassed && r.NeedsSource(rules.SubjectVMA, source) {
			control = of
		}
	}
	return control
}

// verdict puts together one verdict. Where the rule holds but no control passed, it is
// unknown: a reading that can't be shown to see proves nothing.
func (a *auditor) verdict(r *rules.Rule, about guarantee.Subject, window guarantee.Window, control guarantee.Control,
	result rules.Result, observation guarantee.Observation) guarantee.Verdict {
	v := guarantee.Verdict{
		Requirement: r.Requirement, Rule: r.ID, Status: result.Status, Severity: r.Severity, Subject: about, Method: r.Method,
		Observation: observation, Control: control, Window: window, Message: result.Message,
	}
	if v.Status == guarantee.Holds && control.Status != guarantee.ControlPassed {
		v.Status = guarantee.Unknown
		v.Message = fmt.Sprintf("nothing was found, but that is no proof: the control %s (%s)", control.Status, control.Detail)
	}
	if v.Message == "" {
		v.Message = "does not break it"
	}
	if v.Status == guarantee.Broken {
		v.Remedy, v.References = r.Remedy, references(r)
		if len(v.Observation.Raw) == 0 { // a rule that looks at nothing the kernel has words for
			v.Observation.Raw, v.Observation.Total = []string{guarantee.Text(r.When) + " is true"}, 1
		}
	}
	return v
}

func references(r *rules.Rule) []string {
	ids := make([]string, len(r.References))
	for i, reference := range r.References {
		ids[i] = reference.ID
	}
	return ids
}
