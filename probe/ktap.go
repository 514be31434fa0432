package probe

import (
	"fmt"
	"io"
	"strings"
)

// WriteKTAP writes the report in the kernel's test format
// (Documentation/dev-tools/ktap.rst): a refuted claim is "not ok", an unknown one is
// skipped, with the reason.
func (r *Report) WriteKTAP(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "KTAP version 1\n# safevma %s on %s %s\n1..%d\n", line(r.Tool.Version), line(r.Host.Kernel),
		line(r.Host.Machine), len(r.Probes))
	for i := range r.Probes {
		p := &r.Probes[i]
		for _, e := range p.Experiments {
			fmt.Fprintf(&b, "# %s\n", line(e.String()))
		}
		switch p.Outcome {
		case Confirmed:
			fmt.Fprintf(&b, "ok %d %s\n", i+1, p.ID)
		case Refuted:
			fmt.Fprintf(&b, "not ok %d %s\n", i+1, p.ID)
		default:
			fmt.Fprintf(&b, "ok %d %s # SKIP %s: %s\n", i+1, p.ID, p.Reason.Why, line(p.Reason.Detail))
		}
	}
	fmt.Fprintf(&b, "# Totals: pass:%d fail:%d xfail:0 xpass:0 skip:%d error:0\n", r.Summary.Confirmed, r.Summary.Refuted,
		r.Summary.Unknown)
	_, err := io.WriteString(w, b.String())
	return err
}

// line keeps what has newlines on one line; a # would begin a directive.
func line(text string) string { return strings.NewReplacer("\n", " ", "#", "No. ").Replace(text) }

// String says in one line what was tried and seen.
func (e *ExperimentResult) String() string {
	var controls []string
	for _, c := range e.Controls {
		text := fmt.Sprintf("%s: %s", c.On, c.Got)
		if !c.Passed {
			text += fmt.Sprintf(" (want %s)", c.Want)
		}
		controls = append(controls, text)
	}
	return fmt.Sprintf("%s on %s: %s; controls: %s", e.Try, e.On, e.Got, strings.Join(controls, "; "))
}
