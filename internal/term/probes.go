package term

import (
	"fmt"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/probe"
)

// Probes shows what a run of probes found, by subject.
func (w *Writer) Probes(r *probe.Report, o ReportOptions) {
	w.line("%s · %s %s · boot %s", bold.Render(r.Host.Name), r.Host.Kernel, r.Host.Machine, r.Host.BootID)
	for _, subject := range probe.Subjects() {
		first := true
		for i := range r.Probes {
			p := &r.Probes[i]
			if p.Subject != subject {
				continue
			}
			if first {
				w.line("")
				w.line("%s", bold.Render(strings.ToUpper(string(subject))))
				first = false
			}
			w.probe(p, o)
		}
	}
	w.line("")
	w.footprint(r)
	w.line("%s", bold.Render(fmt.Sprintf("%d confirmed, %d refuted, %d unknown", r.Summary.Confirmed, r.Summary.Refuted,
		r.Summary.Unknown))+
		fmt.Sprintf(", in %s", r.Window.To.Sub(r.Window.From).Round(100*time.Millisecond)))
	if r.Summary.Unknown > 0 {
		w.line("%s", faint.Render("Unknown is never counted as confirmed. \"safevma probe explain ID\" tells the story of one."))
	}
}

func (w *Writer) probe(p *probe.Result, o ReportOptions) {
	w.text(2, "%s %s  %s", outcome(p.Outcome), bold.Render(fmt.Sprintf("%-21s", p.ID)), p.Claim)
	if p.Reason != nil {
		w.text(14, "%s", faint.Render(fmt.Sprintf("%s: %s", p.Reason.Why, p.Reason.Detail)))
	}
	for i := range p.Experiments {
		if e := &p.Experiments[i]; o.Verbose || e.Outcome == probe.Refuted {
			w.text(14, "%s", faint.Render(e.String()))
		}
	}
	if o.Verbose {
		for _, n := range p.Notes {
			w.text(14, "%s", faint.Render(n.Name+": "+n.Value))
		}
	}
}

func (w *Writer) footprint(r *probe.Report) {
	f := &r.Footprint
	text := fmt.Sprintf("At most %d pages were secret at once (of %d). ", f.SecretPages, f.SecretLimit)
	before, after := f.LinearMapBefore["DirectMap4k"], f.LinearMapAfter["DirectMap4k"]
	switch {
	case before == 0 || after == 0:
		text += "What that leaves of the kernel's linear map in small pages is not known here."
	case after > before:
		text += fmt.Sprintf("%s more of the kernel's linear map are in small pages until the next boot, by this run or by others.",
			Size(after-before))
	default:
		text += "No more of the kernel's linear map is in small pages than before."
	}
	w.text(0, "%s", faint.Render(text))
}

func outcome(o probe.Outcome) string {
	styles := map[probe.Outcome]lipgloss.Style{probe.Confirmed: good, probe.Refuted: bad, probe.Unknown: warn}
	return styles[o].Render(fmt.Sprintf("%-9s", o))
}

// Explain tells the story of a probe. r is what was seen just now; nil where it was not run.
func (w *Writer) Explain(p *probe.Probe, r *probe.Result) {
	w.line("%s  %s", bold.Render(p.ID), faint.Render(string(p.Subject)))
	part := func(name, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); text != "" {
			w.text(2, "%s %s", bold.Render(fmt.Sprintf("%-12s", name)), text)
		}
	}
	part("claim", "%s", p.Claim)
	part("source", "%s", p.Source)
	if p.Since != "" {
		part("since", "Linux %s, by its documentation", p.Since)
	}
	part("ledger", "%s", p.Row)
	if requirement, ok := guarantee.Find(p.Requirement); ok {
		part("requirement", "%s: %s. It holds where the claim is %s.", p.Requirement, requirement.Text, p.Good)
	}
	part("experiment", "%s", p.Experiment)
	part("control", "%s", p.Control)
	part("oracle", "%s", p.Oracle)
	part("cleanup", "%s", orElse(p.Cleanup, "it ends with its process"))
	part("needs", "%s", p.Needs.Privilege)
	part("differs", "%s", probe.Difference(p.ID))
	part("remedy", "%s", p.Remedy)
	if r == nil {
		return
	}
	w.line("")
	w.text(2, "%s %s", outcome(r.Outcome), r.Claim)
	w.seen(r)
}

func (w *Writer) seen(r *probe.Result) {
	if r.Reason != nil {
		w.text(4, "%s: %s", r.Reason.Why, r.Reason.Detail)
	}
	for i := range r.Experiments {
		e := &r.Experiments[i]
		w.text(4, "%s on %s: %s", e.Try, e.On, bold.Render(string(e.Got)))
		for _, c := range e.Controls {
			passed := "as expected"
			if !c.Passed {
				passed = "expected " + string(c.Want)
			}
			w.text(6, "%s", faint.Render(fmt.Sprintf("control, on %s: %s, %s", c.On, c.Got, passed)))
		}
	}
	for _, n := range r.Notes {
		w.text(4, "%s", faint.Render(n.Name+": "+n.Value))
	}
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// ProbeList shows the catalogue.
func (w *Writer) ProbeList(probes []probe.Probe) {
	for _, subject := range probe.Subjects() {
		first := true
		for _, p := range probes {
			if p.Subject != subject {
				continue
			}
			if first {
				w.line("%s", bold.Render(string(subject)))
				first = false
			}
			w.text(2, "%s %-10s  %s", bold.Render(fmt.Sprintf("%-21s", p.ID)), p.Requirement, p.Claim)
		}
	}
}

// Ledger shows in what kernels differ.
func (w *Writer) Ledger(l *probe.Ledger) {
	for i, h := range l.Hosts {
		w.line("%s  %s", bold.Render(letter(i)), guarantee.Text(fmt.Sprintf("%s %s (%s)", h.Kernel, h.Machine, h.Name)))
	}
	differing := l.Differing()
	for _, r := range differing.Rows {
		w.line("")
		w.text(0, "%s  %s", bold.Render(r.ID), r.Claim)
		for i := range r.Cells {
			w.text(2, "%s  %s", bold.Render(letter(i)), r.Cells[i].String())
		}
		if r.Why != "" {
			w.text(2, "%s %s", quiet.Render("→"), r.Why)
		}
	}
	w.line("")
	w.line("%d of %d claims differ", len(differing.Rows), len(l.Rows))
}

func letter(i int) string { return string(rune('A' + i%26)) }
