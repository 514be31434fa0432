package compare

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// play runs a match of contenders whose work is a line of shell; their operations are $3.
func play(t *testing.T, rounds int, lacking map[string]string, contenders ...Contender) (Result, string) {
	t.Helper()
	folder := t.TempDir()
	var progress strings.Builder
	r := Runner{
		Places: map[Place]string{Memory: folder}, Lacking: lacking, Self: []string{"sh", "-c", `eval "$1"`, "sh"},
		Rounds: rounds, Ops: 1, Progress: &progress,
	}
	table := Table{
		ID: "t", Title: "T", About: "About.", Place: Memory, Clock: Wall, Unit: time.Nanosecond,
		Match: []Match{{Works: []Work{{Measure: "m", Title: "work"}}, Contenders: contenders}},
	}
	results, err := r.Run(t.Context(), []Table{table})
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	return results[0], progress.String()
}

func say(name, line string) Contender { return Contender{Name: name, Work: line, Ops: 1000} }

// Each round runs all in turn, and begins with another one.
func TestContendersTakeTurns(t *testing.T) {
	diary := filepath.Join(t.TempDir(), "diary")
	c := func(name string) Contender {
		return say(name, "echo "+name+" >>"+diary+"; echo measure m $3 1000 1000")
	}
	play(t, 3, nil, c("A"), c("B"), c("C"))
	text, err := os.ReadFile(diary)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(strings.Fields(string(text)), ""); got != "ABCBCACAB" {
		t.Errorf("the order is %s", got)
	}
}

// Who fails is named with the reason, is not asked again, and leaves the others alone.
func TestWhatFailsIsSaid(t *testing.T) {
	diary := filepath.Join(t.TempDir(), "diary")
	result, progress := play(t, 2, nil,
		say("A", "echo measure m $3 1000 1000"),
		say("B", "echo x >>"+diary+"; echo first >&2; echo no device >&2; exit 3"),
		say("C", "echo measure m $3 2000 2000"))
	text := result.Markdown("Here.")
	for _, want := range []string{"|  | B | not run |", "**Not run: B**: exit status 3: no device", "|  | C | 2.0 | 2.0 | 2.00 (2.00 to 2.00) |"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if tries, err := os.ReadFile(diary); err != nil || len(tries) != 2 {
		t.Errorf("%q, %v", tries, err)
	}
	if !strings.Contains(progress, "no device") {
		t.Error(progress)
	}
}

func TestWhatLacksIsSaid(t *testing.T) {
	result, _ := play(t, 1, map[string]string{"tool": "no compiler"}, say("A", "echo measure m $3 1 1"), Contender{Name: "B", Program: "tool", Ops: 1})
	if text := result.Markdown(""); !strings.Contains(text, "**Not run: B**: no compiler") {
		t.Error(text)
	}
}

// A contender that measures something else than was asked for is not half shown.
func TestAMissingMeasureIsSaid(t *testing.T) {
	result, _ := play(t, 1, nil, say("A", "echo measure other $3 1 1"))
	if text := result.Markdown(""); !strings.Contains(text, "**Not run: A**: it did not measure m") {
		t.Error(text)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := Runner{Places: map[Place]string{}, Self: []string{"false"}, Rounds: 1, Ops: 1, Progress: &strings.Builder{}}
	if _, err := r.Run(ctx, nil); err != context.Canceled {
		t.Error(err)
	}
}

func TestSpread(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   spread
	}{{nil, spread{}}, {[]float64{3}, spread{3, 3, 3}}, {[]float64{9, 1, 2}, spread{2, 1, 9}}, {[]float64{4, 1, 2, 9}, spread{3, 1, 9}}} {
		before := slices.Clone(tt.values)
		if got := spreadOf(tt.values); got != tt.want || !slices.Equal(before, tt.values) {
			t.Errorf("%v: %v, want %v", tt.values, got, tt.want)
		}
	}
}
