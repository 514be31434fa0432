package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/memfd"
	"github.com/safevma/safevma/rules"
)

// judgeInodes applies the rules about files that are written in one mapping and executed
// in another.
func (a *auditor) judgeInodes(subjects []*subject) []guarantee.Verdict {
	joined := joinInodes(subjects)
	return a.judgeEach(rules.SubjectInode, subjects, func(r *rules.Rule, judge judgeOne) {
		for i := range joined {
			j := &joined[i]
			if !anyInScope(j.by) {
				continue
			}
			about := guarantee.Subject{Kind: guarantee.KindInode, Name: j.facts.Path, Device: j.facts.Device, Inode: uint64(j.facts.Inode), Declared: j.facts.Declared}
			judge(about, rules.Facts{Inode: &j.facts, Host: &a.view.Host}, j.raw)
		}
	})
}

// judgeMemfds applies the rules about memfds and secret memory.
func (a *auditor) judgeMemfds(files []*memfd.File, subjects []*subject) []guarantee.Verdict {
	declared, inScope := map[int]bool{}, map[int]bool{}
	for _, s := range subjects {
		if s.declared {
			declared[s.info.PID] = true
		}
		inScope[s.info.PID] = s.inScope
	}
	return a.judgeEach(rules.SubjectMemfd, subjects, func(r *rules.Rule, judge judgeOne) {
		for _, f := range files {
			if !usedInScope(f, inScope) {
				continue
			}
			facts := memfdFacts(f, declared)
			about := guarantee.Subject{Kind: guarantee.KindMemfd, Name: facts.Name, Device: facts.Device, Inode: uint64(facts.Inode), Declared: facts.Declared}
			if f.AttributesErr == nil {
				about.UID = &f.UID
			}
			judge(about, rules.Facts{Memfd: facts, Host: &a.view.Host}, memfdRaw(f))
		}
	})
}

type judgeOne func(about guarantee.Subject, facts rules.Facts, raw []string)

// judgeEach applies each rule about one kind of subject that is found across processes:
// a verdict for each that breaks it, is allowed to, or can't be decided; and one on the
// host where nothing breaks it, or where a process could not be read, and what breaks the
// rule may be there.
func (a *auditor) judgeEach(kind rules.Subject, subjects []*subject, each func(*rules.Rule, judgeOne)) []guarantee.Verdict {
	window := guarantee.Since(a.start)
	source := a.Proc.Path("PID", "smaps") + " and fd of all processes"
	missed := a.incomplete(subjects)
	var verdicts []guarantee.Verdict
	for _, r := range a.rulesOf(kind) {
		looked, decided := 0, 0
		each(r, func(about guarantee.Subject, facts rules.Facts, raw []string) {
			looked++
			result := r.Eval(&facts)
			if result.Status == guarantee.Holds || r.Declared && !about.Declared {
				return
			}
			if result.Status != guarantee.NotApplicable {
				decided++
			}
			shown := raw[:min(len(raw), rawMax)]
			verdicts = append(verdicts, a.verdict(r, about, window, a.controls.join, result, guarantee.Observation{Source: source, Raw: shown, Total: len(raw)}))
		})
		if r.Declared && !anyDeclared(subjects) || decided > 0 && missed == "" { // for the first see judgeMissing
			continue
		}
		result := rules.Result{Status: guarantee.Holds, Message: fmt.Sprintf("%d were found in all processes that were seen, none breaks it", looked)}
		if missed != "" {
			result = rules.Result{Status: guarantee.Unknown, Message: "there may be more than was found: " + missed}
			if decided == 0 {
				result.Message = "none was found, but " + missed
			}
		}
		verdicts = append(verdicts, a.verdict(r, a.hostSubject(), window, a.controls.join, result, guarantee.Observation{Source: source, Total: looked}))
	}
	return verdicts
}

// judgeMissing says once for each rule that there was nobody to ask: no process in
// scope, no declared workload. What was asked for and is not there is unknown; where
// nobody declared anything, rules about declared workloads do not apply.
func (a *auditor) judgeMissing(subjects []*subject) []guarantee.Verdict {
	judged := slices.ContainsFunc(subjects, (*subject).judged)
	var verdicts []guarantee.Verdict
	for _, r := range a.Rules {
		var result rules.Result
		switch {
		case r.Subject != rules.SubjectVMA && r.Subject != rules.SubjectProcess && !r.Declared:
			continue
		case r.Declared && len(a.Declared) == 0:
			result = rules.Result{Status: guarantee.NotApplicable, Message: "no process was declared a workload"}
		case r.Declared && !anyDeclared(subjects):
			result = rules.Result{Status: guarantee.Unknown, Message: "no process that could be looked at is " + either(a.Declared)}
		case !judged:
			result = rules.Result{Status: guarantee.Unknown, Message: "no process that could be looked at is " + either(a.Scope)}
		default:
			continue
		}
		verdicts = append(verdicts, a.verdict(r, a.hostSubject(), guarantee.Since(a.start), a.controls.space, result, guarantee.Observation{Source: a.Proc.Root()}))
	}
	return verdicts
}

// selectorRule is the name under which a selector that selected nothing appears: what the
// user named is not there, or could not be seen.
const selectorRule = "selector"

// judgeSelectors says of each selector that it selected nothing.
func (a *auditor) judgeSelectors(subjects []*subject) []guarantee.Verdict {
	var verdicts []guarantee.Verdict
	for _, selector := range slices.Concat(a.Scope, a.Declared) {
		selected, hidden, why := 0, 0, "there is none"
		for _, s := range subjects {
			switch {
			case selector.Selects(&s.info) && s.judged():
				selected++
			case selector.Selects(&s.info) && s.info.KernelThread:
				why = "it is a kernel thread, which has no memory of its own"
			case selector.Selects(&s.info):
				why = "it has ended"
			case len(s.info.Hidden) > 0 || s.err != nil && !s.gone():
				hidden++
			}
		}
		if selected > 0 {
			continue
		}
		if hidden > 0 {
			why += fmt.Sprintf(", or it is one of %d that could not be looked at", hidden)
		}
		verdicts = append(verdicts, guarantee.Verdict{Requirement: "SV-EVD-01", Rule: selectorRule, Status: guarantee.Unknown, Severity: guarantee.Medium,
			Subject: a.hostSubject(), Method: guarantee.Read, Observation: guarantee.Observation{Source: a.Proc.Root()}, Control: a.controls.process,
			Window: guarantee.Since(a.start), Message: fmt.Sprintf("no process was looked at that is %s: %s", selector, why)})
	}
	return verdicts
}

func either(selectors []Selector) string {
	if len(selectors) == 0 {
		return "there"
	}
	var texts []string
	for _, s := range selectors {
		texts = append(texts, s.String())
	}
	return strings.Join(texts, " or ")
}

func (a *auditor) hostSubject() guarantee.Subject {
	return guarantee.Subject{Kind: guarantee.KindHost, Name: a.host.Identity().Name}
}

func anyDeclared(subjects []*subject) bool {
	return slices.ContainsFunc(subjects, func(s *subject) bool { return s.declared && s.judged() })
}

func anyInScope(subjects []*subject) bool {
	return slices.ContainsFunc(subjects, func(s *subject) bool { return s.inScope })
}

func usedInScope(f *memfd.File, inScope map[int]bool) bool {
	return slices.ContainsFunc(f.Holders, func(h memfd.Holder) bool { return inScope[h.PID] }) ||
		slices.ContainsFunc(f.Mappers, func(m memfd.Mapper) bool { return inScope[m.PID] }) ||
		slices.ContainsFunc(f.Executing, func(p memfd.Process) bool { return inScope[p.PID] })
}

// memfdRaw says what was seen of a memfd: its attributes, and each process that holds,
// maps or runs it.
func memfdRaw(f *memfd.File) []string {
	var raw []string
	if f.AttributesErr == nil {
		seals := f.Seals.String()
		if f.SealsErr != nil {
			seals = f.SealsErr.Error()
		}
		raw = append(raw, fmt.Sprintf("st_mode %o, st_size %d, st_uid %d, F_GET_SEALS: %s", f.Mode, f.Size, f.UID, seals))
	}
	for _, h := range f.Holders {
		var fds []string
		for _, fd := range h.FDs {
			fds = append(fds, fmt.Sprintf("/proc/%d/fd/%d", h.PID, fd.FD))
		}
		raw = append(raw, fmt.Sprintf("pid %d (%s): %s -> %s", h.PID, guarantee.Text(h.Comm), strings.Join(fds, " "), memfdPath(f)))
	}
	for _, m := range f.Mappers {
		raw = append(raw, fmt.Sprintf("pid %d (%s): %x-%x %s %s inode %d %s", m.PID, guarantee.Text(m.Comm), m.Start, m.End, m.Perms, f.ID.Device, f.ID.Inode, memfdPath(f)))
	}
	for _, p := range f.Executing {
		raw = append(raw, fmt.Sprintf("pid %d (%s): /proc/%d/exe -> %s", p.PID, guarantee.Text(p.Comm), p.PID, memfdPath(f)))
	}
	return raw
}

func memfdPath(f *memfd.File) string {
	if f.Kind == memfd.Secret {
		return "/secretmem"
	}
	return "/memfd:" + guarantee.Text(f.Name)
}
