package crash

import (
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/safevma/safevma/pmem/crash/state"
)

// ReportFormat names the JSON form of a [Report]. Within it fields may be added; what could
// break a reader gets a new name.
const ReportFormat = "safevma.crash/v1"

// Report says what was explored. All counts are exact unless it says otherwise.
type Report struct {
	Format  string         `json:"format"`
	Name    string         `json:"name,omitempty"`
	Seed    uint64         `json:"seed"`
	Models  []*ModelReport `json:"models"`
	Seconds float64        `json:"seconds"`
	// Verdict is "holds" (nothing failed, all was explored), "holds in the sample" (nothing
	// failed, not all was explored), "broken", or "unknown" (see Error).
	Verdict string   `json:"verdict"`
	Failure *Failure `json:"failure,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// ModelReport is what was explored under one model.
type ModelReport struct {
	Model          state.Model `json:"model"`
	SchedulesTried int         `json:"schedules_tried"`
	Schedules      int         `json:"schedules"` // that were distinct
	Operations     int         `json:"operations"`
	Events         int         `json:"events"`
	Stores         int         `json:"stores"`
	CrashPoints    int         `json:"crash_points"`
	PointsSkipped  int         `json:"crash_points_skipped"` // by the quick mode
	PointsSampled  int         `json:"crash_points_sampled"`
	// States are the pairs of a crash point and an image that is legal there.
	States        string `json:"states"`
	StatesChecked string `json:"states_checked"`
	// Images are distinct: an image that is legal at several crash points counts once.
	Images        string `json:"images"`
	ImagesExact   bool   `json:"images_exact"`   // otherwise at most that many
	ImagesChecked string `json:"images_checked"` // at least
	// Nested are states of a crash during recovery: pairs of a moment and an image.
	NestedPoints  int    `json:"nested_crash_points"`
	NestedStates  string `json:"nested_states"`
	NestedChecked string `json:"nested_states_checked"`
	// Recoveries is how many were run to check all that.
	Recoveries     int64  `json:"recoveries"`
	Audits         int64  `json:"audits"` // recoveries that confirmed the pruning
	SyncsFailed    int    `json:"syncs_failed"`
	PairsFailed    int    `json:"pairs_failed"`
	Lives          int    `json:"lives"`       // images that were recovered and lived on
	LivesFound     int    `json:"lives_found"` // of so many
	Controls       int    `json:"controls"`    // states that had to be refused, and were
	CanarySearches int    `json:"canary_searches"`
	Damaged        int    `json:"damaged"`          // images with a flipped bit or a poisoned block
	Refused        int    `json:"damaged_refused"`  // of those, reported by recovery
	Unharmed       int    `json:"damaged_unharmed"` // of those, right all the same
	Lints          []Lint `json:"lints,omitempty"`

	overlaps                                                   bool // goroutines: there are more schedules than were tried
	states, checked, images, seen, nestedStates, nestedChecked big.Int
}

func newReport(cfg Config) *Report {
	return &Report{Format: ReportFormat, Name: cfg.Name, Seed: cfg.Seed, Models: []*ModelReport{}}
}

func newModelReport(m state.Model) *ModelReport {
	r := &ModelReport{Model: m, ImagesExact: true}
	r.fill()
	return r
}

// point takes in a crash point that is through. Found is how many of its images are new.
func (r *ModelReport) point(t tally, found *big.Int) {
	r.CrashPoints++
	if t.sampled {
		r.PointsSampled++
	}
	r.states.Add(&r.states, t.states)
	r.checked.Add(&r.checked, t.checked)
	r.nestedStates.Add(&r.nestedStates, t.nestedStates)
	r.nestedChecked.Add(&r.nestedChecked, t.nestedChecked)
	r.NestedPoints += t.nestedPoints
	// At most the images that are not new were among those checked.
	old := new(big.Int).Sub(t.states, found)
	if n := old.Sub(t.checked, old); n.Sign() > 0 {
		r.seen.Add(&r.seen, n)
	}
	r.fill()
}

// trace takes in a trace that is through.
func (r *ModelReport) trace(t *trace, c *state.Census, l *linter) {
	again := t.failed() > 0 || t.life != nil
	if !again {
		r.Schedules++
	}
	r.overlaps = r.overlaps || t.goroutines > 0
	r.Operations += t.operations
	r.Events += len(t.events)
	for _, e := range t.events {
		if len(e.Data) > 0 {
			r.Stores++
		}
	}
	images, exact := c.Total()
	r.images.Add(&r.images, images)
	r.ImagesExact = r.ImagesExact && exact && r.Schedules == 1 && !again
	r.lint(l.list())
	r.fill()
}

func (r *ModelReport) lint(all []Lint) {
	for _, l := range all {
		known := false
		for i := range r.Lints {
			if r.Lints[i].Kind == l.Kind && r.Lints[i].Place == l.Place {
				r.Lints[i].Times += l.Times
				known = true
			}
		}
		if !known {
			r.Lints = append(r.Lints, l)
		}
	}
}

func (r *ModelReport) fill() {
	r.States, r.StatesChecked = r.states.String(), r.checked.String()
	r.Images, r.ImagesChecked = r.images.String(), r.seen.String()
	r.NestedStates, r.NestedChecked = r.nestedStates.String(), r.nestedChecked.String()
}

// Complete reports whether all states were checked, of the schedules that were tried.
func (r *ModelReport) Complete() bool {
	return r.Lives == r.LivesFound && r.PointsSkipped == 0 && r.PointsSampled == 0 && r.states.Cmp(&r.checked) == 0 && r.nestedStates.Cmp(&r.nestedChecked) == 0
}

// finish draws the conclusion.
func (r *Report) finish(err error) {
	var failure *Failure
	switch {
	case errors.As(err, &failure):
		r.Verdict = "broken"
		return
	case err != nil:
		r.Verdict, r.Error = "unknown", err.Error()
		return
	}
	r.Verdict = "holds"
	for _, m := range r.Models {
		if !m.Complete() || m.overlaps {
			r.Verdict = "holds in the sample"
		}
	}
}

// String is the report for people.
func (r *Report) String() string {
	var b strings.Builder
	name := r.Name
	if name == "" {
		name = "exploration"
	}
	fmt.Fprintf(&b, "%s: %s; seed %d, %.1f s\n", name, r.Verdict, r.Seed, r.Seconds)
	for _, m := range r.Models {
		b.WriteString(m.String())
	}
	if r.Failure != nil {
		b.WriteString(r.Failure.Error() + "\n")
	}
	if r.Error != "" {
		b.WriteString(r.Error + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

func (m *ModelReport) String() string {
	var b strings.Builder
	atMost, atLeast := "", ""
	if !m.ImagesExact {
		atMost, atLeast = "at most ", "at least "
	}
	if m.Complete() {
		atLeast = ""
	}
	fmt.Fprintf(&b, "  %s: %s%s of %s%s distinct images recovered and checked, by %d recoveries\n",
		m.Model, atLeast, m.ImagesChecked, atMost, m.Images, m.Recoveries)
	fmt.Fprintf(&b, "    %d operations, %d stores, %d crash points, %s of %s states; %s of %s after a crash in recovery\n",
		m.Operations, m.Stores, m.CrashPoints, m.StatesChecked, m.States, m.NestedChecked, m.NestedStates)
	if m.Schedules > 1 || m.SchedulesTried > 1 {
		fmt.Fprintf(&b, "    %d schedules tried, %d distinct\n", m.SchedulesTried, m.Schedules)
	}
	if m.PointsSkipped > 0 {
		fmt.Fprintf(&b, "    QUICK: %d crash points were skipped, whose call stacks had been seen\n", m.PointsSkipped)
	}
	if m.PointsSampled > 0 {
		fmt.Fprintf(&b, "    SAMPLED: %d crash points have more images than were tried\n", m.PointsSampled)
	}
	if m.LivesFound > 0 {
		fmt.Fprintf(&b, "    %d of %d images were recovered and lived on\n", m.Lives, m.LivesFound)
	}
	if m.SyncsFailed > 0 {
		fmt.Fprintf(&b, "    %d runs with a sync that failed\n", m.SyncsFailed)
	}
	if m.PairsFailed > 0 {
		fmt.Fprintf(&b, "    %d runs with two syncs that failed\n", m.PairsFailed)
	}
	if m.Damaged > 0 {
		fmt.Fprintf(&b, "    %d damaged images: %d reported, %d unharmed\n", m.Damaged, m.Refused, m.Unharmed)
	}
	fmt.Fprintf(&b, "    controls: %d wrong states refused, %d recoveries confirmed the pruning\n", m.Controls, m.Audits)
	for _, l := range m.Lints {
		fmt.Fprintf(&b, "    lint: %s\n", l)
	}
	return b.String()
}
