package probe

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

// Whole runs in a row say the same, and leave the host as it was. SAFEVMA_PROBE_RUNS is how
// many: "make probe-nightly" asks for a hundred.
func TestRunsInARow(t *testing.T) {
	runs, err := strconv.Atoi(os.Getenv("SAFEVMA_PROBE_RUNS"))
	if err != nil {
		t.Skip("set SAFEVMA_PROBE_RUNS to a number of whole runs")
	}
	t.Setenv("TMPDIR", t.TempDir())
	before := look(t)
	var first *Report
	for n := range runs {
		r := runAll(t, Config{})
		if first == nil {
			first = r
		}
		for i := range r.Probes {
			if a, b := said(&first.Probes[i]), said(&r.Probes[i]); a != b {
				t.Errorf("run %d, %s: %s\n  the first run said: %s", n+1, r.Probes[i].ID, told(&r.Probes[i]), told(&first.Probes[i]))
			}
		}
		for what, a := range look(t) {
			if b := before[what]; a != b {
				t.Errorf("run %d: %s before:\n%s\nafter:\n%s", n+1, what, b, a)
			}
		}
		t.Logf("run %d: %+v in %v", n+1, r.Summary, r.Window.To.Sub(r.Window.From).Round(time.Millisecond))
	}
}

// said is what must be the same each time.
func said(r *Result) string {
	if r.Outcome == Unknown {
		return fmt.Sprintf("%s: %s", r.Outcome, r.Reason.Why)
	}
	return string(r.Outcome)
}

// told is what helps to find out why it was not.
func told(r *Result) string {
	text := said(r)
	if r.Reason != nil {
		text += ": " + r.Reason.Detail
	}
	for _, e := range r.Experiments {
		text += fmt.Sprintf("; %s on %s: %s (%s) %v", e.Try, e.On, e.Got, e.Outcome, e.Controls)
	}
	return text + fmt.Sprintf("; %v", r.Notes)
}
