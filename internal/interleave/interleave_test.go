package interleave

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each round runs each way once, and each way is first in its turn.
func TestRoundsRotate(t *testing.T) {
	var order []string
	way := func(name string) Way {
		return Way{Name: name, Do: func() error { order = append(order, name); return nil }}
	}
	ways := []Way{way("a"), way("b"), way("c")}
	for first, want := range [][]string{{"a", "b", "c"}, {"b", "c", "a"}, {"c", "a", "b"}, {"a", "b", "c"}} {
		order = nil
		if samples, err := round(ways, first); err != nil || len(samples) != 3 || !slices.Equal(order, want) {
			t.Errorf("round %d: %q, %v; want %q", first, order, err, want)
		}
	}
}

// What a way takes is booked on it, whichever comes first.
func TestSamplesBelongToTheirWay(t *testing.T) {
	var keep [][]byte
	ways := []Way{
		{Name: "idle", Do: func() error { return nil }},
		{Name: "busy", Do: func() error {
			spent := func() time.Duration { user, system := CPU(); return user + system }
			for start := spent(); spent()-start < 20*time.Millisecond; {
			}
			for range 1000 {
				keep = append(keep, make([]byte, 100))
			}
			return nil
		}},
	}
	for first := range 2 {
		samples, err := round(ways, first)
		if err != nil || samples[1].cpu < 20e6 || samples[1].wall < 10e6 || samples[1].mallocs < 1000 || samples[0].mallocs > 500 {
			t.Errorf("%+v, %v", samples, err)
		}
	}
}

func TestErrorNamesTheWay(t *testing.T) {
	broken := errors.New("broken")
	_, err := round([]Way{{Name: "well", Do: func() error { return nil }}, {Name: "ill", Do: func() error { return broken }}}, 0)
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "ill") {
		t.Errorf("%v", err)
	}
}

// The ratio is taken within each round: a round in which everything was slow does not
// count more.
func TestMedianOfRatios(t *testing.T) {
	rounds := [][]sample{{{cpu: 1}, {cpu: 2}}, {{cpu: 100}, {cpu: 300}}, {{cpu: 10}, {cpu: 90}}}
	if got := median(rounds, ratio(cpu, 1)); got != 3 {
		t.Errorf("%v, want 3", got)
	}
	text := table(rounds, 2, "page", []Way{{Name: "one"}, {Name: "two"}})
	if !strings.Contains(text, "median of 3 rounds") || !strings.Contains(text, "CPU ns/page") || !strings.Contains(text, "3.000") {
		t.Error(text)
	}
}
