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
// a verdict for each that breaks it or can't be decided, and one on the host where no
// other does. That one is unknown where a process could not be read: what breaks the
// rule may be there.
func (a *auditor) judgeEach(kind rules.Subject, subjects []*subject, each func(*rules.Rule, judgeOne)) []guarantee.Verdict {
	window := guarantee.Since(a.start)
	source := a.Proc.Path("PID", "smaps") + " and fd of all processes"
	missed := a.incomplete(subjects)
	var verdicts []guarantee.Verdict
	for _, r := range a.rulesOf(kind) {
		looked, kept := 0, len(verdicts)
		each(r, func(about guarantee.Subject, facts rules.Facts, raw []string) {
			looked++
			result := r.Eval(&facts)
			if result.Status == guarantee.Holds || r.Declared && !about.Declared {
				return
			}
			shown := raw[:min(len(raw), rawMax)]
			verdicts = append(verdicts, a.verdict(r, about, window, a.controls.join, result, guarantee.Observation{Source: source, Raw: shown, Total: len(raw)}))
		})
		if len(verdicts) > kept || r.Declared && !anyDeclared(subjects) { // see judgeMissing
			continue
		}
		result := rules.Result{Status: guarantee.Holds, Message: fmt.Sprintf("%d found in all processes, none breaks it", looked)}
		if missed != "" {
			result = rules.Result{Status: guarantee.Unknown, Message: "none was found, but " + missed}
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
