package term

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/safevma/safevma/guarantee"
)

// ReportOptions says how much of a report is shown.
type ReportOptions struct {
	// Verbose shows all subjects and all raw lines, and the verdicts that hold.
	Verbose bool
	// Holds shows the verdicts that hold, too.
	Holds bool
}

// Report shows the findings of a report, then what could not be measured, then a table
// of all requirements.
func (w *Writer) Report(r *guarantee.Report, o ReportOptions) {
	w.line("%s · %s %s · boot %s", bold.Render(r.Host.Name), r.Host.Kernel, r.Host.Machine, r.Host.BootID)
	if c := r.Summary.Coverage; c != nil {
		w.line("%s", faint.Render(fmt.Sprintf("%d processes with %d mappings read in %s; %d kernel threads have no memory of their own",
			c.Processes, c.VMAs, r.Window.To.Sub(r.Window.From).Round(time.Millisecond), c.KernelThreads)))
	}
	statuses := []guarantee.Status{guarantee.Broken}
	if o.Holds {
		statuses = append(statuses, guarantee.Holds)
	}
	if o.Verbose {
		statuses = guarantee.Statuses()
	}
	for _, status := range statuses {
		for _, group := range byRule(r.Verdicts, status) {
			w.line("")
			w.group(group, o)
		}
	}
	if !o.Verbose {
		w.unknown(r)
	}
	w.line("")
	w.table(r)
	w.line("")
	w.Missed(r.Summary.Coverage)
	w.summary(r)
}

// byRule groups the verdicts of one status by rule, in their order.
func byRule(verdicts []guarantee.Verdict, status guarantee.Status) [][]guarantee.Verdict {
	var groups [][]guarantee.Verdict
	index := map[string]int{}
	for _, v := range verdicts {
		if v.Status != status {
			continue
		}
		i, ok := index[v.Rule]
		if !ok {
			i = len(groups)
			index[v.Rule] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], v)
	}
	return groups
}

const (
	subjectsShown = 4
	rawShown      = 2
)

// group shows the verdicts of one rule.
func (w *Writer) group(verdicts []guarantee.Verdict, o ReportOptions) {
	first := verdicts[0]
	requirement, _ := guarantee.Find(first.Requirement)
	w.line("%s %s  %s %s  %s", status(first.Status), severity(first.Severity), first.Requirement, bold.Render(first.Rule), faint.Render(requirement.Text))
	shown := verdicts
	if !o.Verbose && len(shown) > subjectsShown {
		shown = shown[:subjectsShown]
	}
	for _, v := range shown {
		w.text(2, "%s: %s", bold.Render(subject(v.Subject)), v.Message)
		w.observation(v, o)
	}
	if hidden := verdicts[len(shown):]; len(hidden) > 0 {
		var names []string
		for _, v := range hidden {
			names = append(names, subject(v.Subject))
		}
		w.text(2, "%s", faint.Render(fmt.Sprintf("and %d more: %s", len(hidden), list(names, 8))))
	}
	if first.Remedy != "" {
		w.text(2, "%s %s", quiet.Render("→"), strings.TrimSpace(first.Remedy))
	}
}

func (w *Writer) observation(v guarantee.Verdict, o ReportOptions) {
	shown := v.Observation.Raw
	if !o.Verbose && len(shown) > rawShown {
		shown = shown[:rawShown]
	}
	for _, raw := range shown {
		for line := range strings.Lines(raw) {
			w.line("    %s", faint.Render(strings.TrimSuffix(line, "\n")))
		}
	}
	if more := v.Observation.Total - len(shown); more > 0 && len(shown) > 0 {
		w.line("    %s", faint.Render(fmt.Sprintf("… %d more in %s", more, v.Observation.Source)))
	}
	if o.Verbose {
		w.text(4, "%s", faint.Render("control "+string(v.Control.Status)+": "+v.Control.Detail))
	}
}

// unknown shows what could not be measured, one line for each reason: one process that
// can't be read leaves many rules undecided.
func (w *Writer) unknown(r *guarantee.Report) {
	type reason struct {
		message  string
		subjects []string
		rules    []string
	}
	var reasons []*reason
	for _, group := range byRule(r.Verdicts, guarantee.Unknown) {
		for _, v := range group {
			i := slices.IndexFunc(reasons, func(known *reason) bool { return known.message == v.Message })
			if i < 0 {
				i = len(reasons)
				reasons = append(reasons, &reason{message: v.Message})
			}
			reasons[i].subjects = appendNew(reasons[i].subjects, subject(v.Subject))
			reasons[i].rules = appendNew(reasons[i].rules, v.Rule)
		}
	}
	if len(reasons) == 0 {
		return
	}
	w.line("")
	w.line("%s", warn.Bold(true).Render("NOT MEASURED (never counted as holding)"))
	const shown = 12
	for _, one := range reasons[:min(len(reasons), shown)] {
		w.text(2, "%s: %s", bold.Render(list(one.subjects, 3)), one.message)
		w.text(4, "%s", faint.Render("undecided: "+list(one.rules, 6)))
	}
	if more := len(reasons) - shown; more > 0 {
		w.line("  %s", faint.Render(fmt.Sprintf("and %d more reasons: see --verbose or --output json", more)))
	}
}

func appendNew(names []string, name string) []string {
	if slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}

// table counts the verdicts of each requirement.
func (w *Writer) table(r *guarantee.Report) {
	counts := map[string]guarantee.Summary{}
	for i := range r.Verdicts {
		id := r.Verdicts[i].Requirement
		one := guarantee.Summarize(r.Verdicts[i : i+1])
		sum := counts[id]
		sum.Holds += one.Holds
		sum.Broken += one.Broken
		sum.Unknown += one.Unknown
		sum.NotApplicable += one.NotApplicable
		counts[id] = sum
	}
	w.line("%s", bold.Render(fmt.Sprintf("%-10s %7s %8s %7s %5s  %s", "", "broken", "unknown", "holds", "n/a", "requirement")))
	for _, requirement := range guarantee.Catalogue() {
		c, ok := counts[requirement.ID]
		if !ok {
			continue
		}
		w.line("%-10s %s %s %s %5d  %s", requirement.ID, cell(c.Broken, 7, bad), cell(c.Unknown, 8, warn), cell(c.Holds, 7, good), c.NotApplicable, requirement.Text)
	}
}

func cell(n, width int, style lipgloss.Style) string {
	text := fmt.Sprintf("%*d", width, n)
	if n == 0 {
		return faint.Render(text)
	}
	return style.Render(text)
}

// Missed says which processes were not seen, and what would show them.
func (w *Writer) Missed(c *guarantee.Coverage) {
	if c == nil {
		return
	}
	say := func(missed []guarantee.Missed, format string) {
		if len(missed) == 0 {
			return
		}
		var names []string
		for _, m := range missed {
			names = append(names, fmt.Sprintf("%d %s", m.PID, m.Name))
		}
		w.line("%s %s", warn.Render(fmt.Sprintf(format, len(missed))), faint.Render(list(names, 8)))
	}
	hint := "run as root to see them"
	if os.Geteuid() == 0 {
		hint = "even to root: a security module, a user namespace or missing capabilities"
	}
	say(c.Denied, "%d not visible, the kernel denies them ("+hint+"):")
	say(c.Gone, "%d ended before they were read:")
	say(c.Failed, "%d could not be read:")
	if len(c.Failed) > 0 {
		w.line("  %s", faint.Render(c.Failed[0].Reason))
	}
}

func (w *Writer) summary(r *guarantee.Report) {
	s := r.Summary
	w.line("%s, %s, %s, %d not applicable", cellOf(s.Broken, "broken", bad), cellOf(s.Unknown, "unknown", warn), cellOf(s.Holds, "hold", good), s.NotApplicable)
}

func cellOf(n int, what string, style lipgloss.Style) string {
	text := fmt.Sprintf("%d %s", n, what)
	if n == 0 {
		return text
	}
	return style.Render(text)
}

func status(s guarantee.Status) string {
	switch s {
	case guarantee.Broken:
		return bad.Render("BROKEN")
	case guarantee.Unknown:
		return warn.Render("UNKNOWN")
	case guarantee.Holds:
		return good.Render("HOLDS")
	}
	return faint.Render("N/A")
}

func severity(s guarantee.Severity) string {
	if s.AtLeast(guarantee.High) {
		return bad.Render(string(s))
	}
	if s.AtLeast(guarantee.Medium) {
		return warn.Render(string(s))
	}
	return faint.Render(string(s))
}

// subject names what a verdict speaks of.
func subject(s guarantee.Subject) string {
	switch s.Kind {
	case guarantee.KindProcess:
		return fmt.Sprintf("%s (pid %d)", s.Name, s.PID)
	case guarantee.KindInode:
		return fmt.Sprintf("%s (%s inode %d)", s.Name, s.Device, s.Inode)
	case guarantee.KindMemfd:
		name := s.Name
		if name == "" {
			name = "without a name"
		}
		return fmt.Sprintf("memfd %s (inode %d)", name, s.Inode)
	case guarantee.KindHost:
		return "host"
	}
	return s.Name
}

// list joins the first names, and says how many there are more.
func list(names []string, most int) string {
	names = slices.Clone(names)
	if n := len(names); n > most {
		names = append(names[:most], fmt.Sprintf("and %d more", n-most))
	}
	return strings.Join(names, ", ")
}
