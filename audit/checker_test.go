package audit_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/safevma/safevma/audit"
	"github.com/safevma/safevma/guarantee"
)

// checker runs testdata/check_findings.py, which reads /proc by itself and shares
// nothing with the audit.
type checker struct{ python string }

func findChecker(t *testing.T) checker {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skipf("the independent check needs Python (%v): install it with make deps", err)
	}
	if out, err := exec.Command(python, "-c", "import os; os.memfd_create").CombinedOutput(); err != nil {
		t.Skipf("the independent check needs Python 3.8 or later, with memfd_create: %s", out)
	}
	return checker{python}
}

// run returns what the checker printed, and whether it ended with status 0.
func (c checker) run(t *testing.T, args ...string) ([]byte, bool) {
	t.Helper()
	cmd := exec.Command(c.python, append([]string{"testdata/check_findings.py"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("check_findings.py %s: %v\n%s%s", args[0], err, out, &stderr)
	}
	return out, err == nil
}

// snapshot lets the checker read /proc, and returns the file with what it saw.
func (c checker) snapshot(t *testing.T, scope, declared []int) string {
	t.Helper()
	args := []string{"snapshot"}
	for _, pid := range declared {
		args = append(args, "--declared", strconv.Itoa(pid))
	}
	for _, pid := range scope {
		args = append(args, strconv.Itoa(pid))
	}
	out, ok := c.run(t, args...)
	if !ok {
		t.Fatalf("no snapshot: %s", out)
	}
	path := filepath.Join(t.TempDir(), "snapshot.json")
	if err := os.WriteFile(path, out, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// checked is a report, and what the checker saw before and after it was made.
type checked struct {
	checker
	report        *guarantee.Report
	before, after string
	still         bool // nothing could change meanwhile
}

// audited audits the whole host between two looks of the checker.
func (c checker) audited(t *testing.T, scope, declared []int, still bool) *checked {
	t.Helper()
	config := audit.Config{Rules: packs(t), Tool: testTool}
	for _, pid := range scope {
		config.Scope = append(config.Scope, pidSelector(t, pid))
	}
	for _, pid := range declared {
		config.Declared = append(config.Declared, pidSelector(t, pid))
	}
	r := &checked{checker: c, still: still, before: c.snapshot(t, scope, declared)}
	var err error
	if r.report, err = audit.Run(context.Background(), config); err != nil {
		t.Fatal(err)
	}
	r.after = c.snapshot(t, scope, declared)
	return r
}

// compare returns what the checker says of reports, perhaps not the one that was made,
// and whether it agrees with all of them.
func (r *checked) compare(t *testing.T, reports ...string) (string, bool) {
	t.Helper()
	args := append([]string{"compare", r.before, r.after}, reports...)
	if r.still {
		args = slices.Insert(args, 1, "--still")
	}
	out, ok := r.run(t, args...)
	return string(out), ok
}

// agrees fails the test where the checker does not agree with the report, and returns
// what it printed.
func (r *checked) agrees(t *testing.T) string {
	t.Helper()
	out, ok := r.compare(t, writeReport(t, t.TempDir(), "report", r.report))
	if !ok {
		t.Errorf("the checker does not agree:\n%s", out)
	}
	return out
}

func writeReport(t *testing.T, dir, name string, report *guarantee.Report) string {
	t.Helper()
	var text bytes.Buffer
	if err := report.WriteJSON(&text); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// checkedRules are the rules that the checker knows.
var checkedRules = strings.Fields(`wx-mapping executable-stack executable-mapping-deleted locked-not-resident locked-on-fault
	droppable mergeable declared-not-locked declared-droppable declared-read-hint program-in-memfd program-deleted declared-oom-score
	inode-written-and-executed memfd-executable memfd-executable-sealed memfd-noexec-mapped-executable secret-memory`)

// rejectsDoctored is the control: for each rule, the checker must notice a finding that
// was removed, and one that was invented. It returns the rules that had one to remove.
func (r *checked) rejectsDoctored(t *testing.T) (removed []string) {
	t.Helper()
	broken, clean := map[string]int{}, map[string]int{}
	for i, v := range r.report.Verdicts {
		switch {
		case v.Status == guarantee.Broken:
			broken[v.Rule] = i
		case v.Status == guarantee.Holds && v.Subject.Kind == guarantee.KindProcess:
			clean[v.Rule] = i
		}
	}
	dir := t.TempDir()
	var reports []string
	doctor := func(what, rule string, change func(verdicts []guarantee.Verdict) []guarantee.Verdict) {
		copied := *r.report
		copied.Verdicts = change(slices.Clone(copied.Verdicts))
		reports = append(reports, writeReport(t, dir, what+" "+rule, &copied))
	}
	for _, rule := range checkedRules {
		i, ok := broken[rule]
		if ok {
			doctor("missed", rule, func(v []guarantee.Verdict) []guarantee.Verdict { remove(&v[i]); return v })
			removed = append(removed, rule)
		}
		if ok && r.report.Verdicts[i].Subject.Kind != guarantee.KindProcess {
			doctor("invented", rule, func(v []guarantee.Verdict) []guarantee.Verdict { return append(v, elsewhere(v[i])) })
		} else if i, ok := clean[rule]; ok {
			doctor("invented", rule, func(v []guarantee.Verdict) []guarantee.Verdict { invent(&v[i]); return v })
		}
	}
	out, _ := r.compare(t, reports...)
	said := map[string]string{}
	for block := range strings.SplitSeq("\n"+out, "\n== ") {
		name, text, _ := strings.Cut(block, "\n")
		said[name] = text
	}
	for _, path := range reports {
		what, rule, _ := strings.Cut(filepath.Base(path), " ")
		if text := said[filepath.Base(path)]; !strings.Contains(text, what+": rule "+rule+" on ") {
			t.Errorf("a finding of rule %s was %s in the report, and the checker does not say so:\n%s", rule, what, text)
		}
	}
	return removed
}

// remove takes away one mapping of a finding that names several, else the finding.
func remove(v *guarantee.Verdict) {
	if o := &v.Observation; v.Subject.Kind == guarantee.KindProcess && o.Total > 1 {
		o.Total--
		o.Raw = o.Raw[:min(len(o.Raw), o.Total)]
		return
	}
	v.Status = guarantee.Holds
}

// invent makes a finding of what holds.
func invent(v *guarantee.Verdict) {
	v.Status, v.Message = guarantee.Broken, "invented"
	v.Observation.Raw, v.Observation.Total = []string{"10000-20000 rwxp 00000000 00:00 0 \nVmFlags: rd wr ex mr mw me"}, 1
}

// elsewhere makes a finding about a file that nobody has.
func elsewhere(v guarantee.Verdict) guarantee.Verdict {
	v.Subject.Inode = 1 << 40
	return v
}
