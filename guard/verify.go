package guard

import (
	"fmt"
	"strings"
	"time"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

// verify makes a verdict of each rule that is on: from what the program was made to try, and from what
// the kernel says of it outside.
func (l *launcher) verify() {
	from := time.Now()
	for _, info := range rules {
		if !l.config.Settings.on(info.Rule) {
			continue
		}
		f := l.find(info.Rule)
		if info.Rule == MDWE || info.Rule == CodeCalls {
			f = l.codeAtStart(f)
		}
		l.launch.Verdicts = append(l.launch.Verdicts, guarantee.Verdict{
			Requirement: info.Requirement, Rule: string(info.Rule), Status: f.status, Severity: guarantee.High,
			Subject: l.subject, Method: f.method,
			Observation: guarantee.Observation{Source: f.source, Raw: f.raw, Total: len(f.raw)},
			Control:     f.control, Window: guarantee.Since(from),
			Message: f.message(info),
		})
	}
}

// identify learns who the program is.
func (l *launcher) identify() error {
	p, err := process.Default().Open(l.launch.PID)
	if err != nil {
		return err
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return err
	}
	l.subject = guarantee.Subject{Kind: guarantee.KindProcess, PID: info.PID, StartTime: info.StartTime, Name: guarantee.Text(info.Comm), UID: &info.EUID,
		Exe: guarantee.Text(info.Exe), Cgroup: guarantee.Text(info.Cgroup), Declared: true}
	var reader vma.Reader
	return reader.Maps(p, func(v *vma.VMA) error {
		if both := vma.PermWrite | vma.PermExec; v.Perm&both == both {
			l.code = append(l.code, fmt.Sprintf("%x-%x %s is writable and executable", v.Start, v.End, guarantee.Text(v.Name)))
		}
		return nil
	})
}

// codeAtStart takes back that a rule about code holds where a program begins with code that it can write:
// execve(2) gives a stack that is executable to those that are linked so, MDWE or not.
func (l *launcher) codeAtStart(f finding) finding {
	if f.status == guarantee.Holds && len(l.code) > 0 {
		f.status, f.raw = guarantee.Broken, append(f.raw, l.code...)
		f.why = fmt.Sprintf("the program begins with code that it can write: %s: link it with -z noexecstack", strings.Join(l.code, "; "))
	}
	return f
}

// finding is what was seen of a rule.
type finding struct {
	status  guarantee.Status
	method  guarantee.Method
	source  string
	raw     []string
	control guarantee.Control
	why     string
}

func (f *finding) message(info RuleInfo) string {
	switch {
	case f.why != "":
		return f.why
	case f.status == guarantee.Holds:
		return info.Does
	}
	return fmt.Sprintf("%s does not hold: %s", info.Rule, strings.Join(f.raw, "; "))
}

func unknown(why string) finding {
	return finding{status: guarantee.Unknown, method: guarantee.Inference, source: "none", why: why,
		control: guarantee.Control{Status: guarantee.ControlAbsent, Detail: "nothing was measured"}}
}

// find looks for what is known of a rule. A step that failed is broken, whatever is seen later.
func (l *launcher) find(r Rule) finding {
	for _, s := range l.launch.Steps {
		if s.Rule == r && s.Err != "" {
			return finding{status: guarantee.Broken, method: guarantee.Probe, source: "applying it", raw: []string{s.Err},
				control: guarantee.Control{Status: guarantee.ControlAbsent, Detail: "it was not applied"}}
		}
	}
	if f, ok := l.seen[r]; ok {
		return f
	}
	if f, ok := worst(l.asked, r); ok {
		return f
	}
	if !traceable {
		return unknown("on this architecture a program can't be made to try it yet")
	}
	if f, ok := worst(l.twin, r); ok {
		f.method = guarantee.Inference
		f.source = "of a twin whose violations fail: " + f.source
		return f
	}
	return unknown("it was not tried")
}

// worst is what was observed of a rule: what does not hold, where it was tried in several ways.
func worst(all []observation, r Rule) (f finding, ok bool) {
	for i := range all {
		if all[i].Rule == r && (!ok || f.status == guarantee.Holds) {
			f, ok = all[i].finding(), true
		}
	}
	return f, ok
}

func (o *observation) finding() finding {
	f := finding{status: guarantee.Broken, method: guarantee.Probe, source: o.Call, raw: []string{o.Got},
		control: guarantee.Control{Status: guarantee.ControlPassed, Detail: o.Control}}
	switch {
	case !o.Shown:
		f.status, f.control.Status = guarantee.Unknown, guarantee.ControlFailed
		f.why = fmt.Sprintf("the control gave no other answer than a violation: %s", o.Control)
	case o.Got == o.Want:
		f.status = guarantee.Holds
	}
	return f
}
