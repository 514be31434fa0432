package compare

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/safevma/safevma/bench/measure"
)

// outcome has a round for each wall time, in nanoseconds for 10 operations.
func outcome(walls ...time.Duration) (o Outcome) {
	for _, w := range walls {
		o.Rounds = append(o.Rounds, map[string]measure.Measure{"m": {Name: "m", Ops: 10, Wall: w, CPU: 10}})
	}
	return o
}

// The ratio is the median of the ratios of the rounds, not the quotient of medians.
func TestRatioIsWithinARound(t *testing.T) {
	ours, peer := outcome(10, 30, 20), outcome(30, 60, 20)
	got, ok := peer.ratio(Work{Measure: "m"}, Wall, ours)
	if !ok || got != (spread{2, 1, 3}) {
		t.Errorf("%v, %v", got, ok)
	}
	if _, ok := peer.ratio(Work{Measure: "other"}, Wall, ours); ok {
		t.Error("a ratio of nothing")
	}
}

func TestVerdicts(t *testing.T) {
	for _, tt := range []struct {
		goal, ratio float64
		want        string
	}{{5, 5, "met"}, {5, 4.99, "**missed**"}, {0, 1, ""}, {-1.1, 1.1, "met"}, {-1.1, 1.11, "**missed**"}} {
		if got := verdict(tt.goal, tt.ratio); got != tt.want {
			t.Errorf("goal %v, ratio %v: %q", tt.goal, tt.ratio, got)
		}
	}
}

func TestGoalsAreJudged(t *testing.T) {
	goal := map[string]float64{"m": 3}
	r := Result{
		Table: Table{Title: "T", About: "A", Clock: Wall, Unit: time.Nanosecond, Match: []Match{{
			Works: []Work{{Measure: "m", Title: "work"}}, Contenders: []Contender{{Name: "ours"}, {Name: "near", Goals: goal}, {Name: "far", Goals: goal}},
		}}},
		Outcomes: [][]Outcome{{outcome(10), outcome(20), outcome(40)}},
	}
	text := r.Markdown("Conditions.")
	for _, want := range []string{
		"| work | ours | 1.0 | 1.0 | 1 | | |", "|  | near | 1.0 | 2.0 | 2.00 (2.00 to 2.00) | ≥ 3 | **missed** |",
		"|  | far | 1.0 | 4.0 | 4.00 (4.00 to 4.00) | ≥ 3 | met |", "Conditions.\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

// A measure may be compared with another one of the same contender.
func TestMeasuresOfOneContender(t *testing.T) {
	o := outcome(22)
	o.Rounds[0]["off"] = measure.Measure{Name: "off", Ops: 10, Wall: 20, CPU: 10}
	r := Result{
		Table: Table{Clock: Wall, Unit: time.Nanosecond, Match: []Match{{
			Works:      []Work{{Measure: "off", Title: "off"}, {Measure: "m", Title: "on", Against: "off"}},
			Contenders: []Contender{{Name: "ours", Goals: map[string]float64{"m": -1.05}}},
		}}},
		Outcomes: [][]Outcome{{o}},
	}
	for _, want := range []string{"| off | ours | 1.0 | 2.0 | 1 | | |", "| on | ours | 1.0 | 2.2 | 1.10 (1.10 to 1.10) | ≤ 1.05 | **missed** |"} {
		if text := r.Markdown(""); !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestSpliceKeepsTheRest(t *testing.T) {
	page := "before\n<!-- bench a -->\nold\n<!-- end of bench a -->\nbetween\n<!-- bench b -->\n<!-- end of bench b -->\nafter\n"
	page, err := Splice(page, "b", "new b\n")
	if err == nil {
		page, err = Splice(page, "a", "new a\n")
	}
	want := "before\n<!-- bench a -->\nnew a\n<!-- end of bench a -->\nbetween\n<!-- bench b -->\nnew b\n<!-- end of bench b -->\nafter\n"
	if err != nil || page != want {
		t.Errorf("%v\n%s", err, page)
	}
	for _, page := range []string{"", "<!-- bench a -->\n", "<!-- end of bench a --><!-- bench a -->\n"} {
		if _, err := Splice(page, "a", ""); !errors.Is(err, ErrNoMarkers) {
			t.Errorf("%q: %v", page, err)
		}
	}
}

func TestPlacesAreChecked(t *testing.T) {
	if err := Disk.Fits("/proc"); err == nil {
		t.Error("/proc is taken for a disk")
	}
	if err := Memory.Fits("/proc"); err == nil {
		t.Error("/proc is taken for tmpfs")
	}
	if err := Disk.Fits("/nonexistent"); err == nil {
		t.Error("what does not exist is taken for a disk")
	}
}
