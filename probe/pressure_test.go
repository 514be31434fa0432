package probe

import (
	"testing"
	"time"
)

// A trigger is refuted by silence only where one window must have had enough pressure.
func TestPressed(t *testing.T) {
	const ms = time.Millisecond
	for p, want := range map[pressed]Answer{
		{true, 60 * ms, 100 * ms, 0}:   "fired, with pressure",
		{true, 60 * ms, 8000 * ms, 0}:  "fired, with pressure",
		{true, 1 * ms, 10 * ms, 0}:     "fired, without pressure",
		{false, 60 * ms, 100 * ms, 0}:  "silent, with pressure",
		{false, 60 * ms, 3900 * ms, 0}: "silent, with pressure",
		{false, 60 * ms, 7900 * ms, 0}: "silent, with pressure spread over 8s",
		{false, 25 * ms, 100 * ms, 0}:  "silent, with pressure spread over 0s",
		{false, 15 * ms, 100 * ms, 0}:  "silent, without pressure",
	} {
		if got := p.answer(); got != want {
			t.Errorf("%+v: %q, want %q", p, got, want)
		}
	}
}

// Too little pressure is asked for again with more pages, as many as it lacked.
func TestScaled(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		pages       int
		made, after time.Duration
		want        int
	}{
		{1000, 90 * ms, 90 * ms, 1000}, {1000, 200 * ms, 90 * ms, 1000}, {1000, 45 * ms, 90 * ms, 2000},
		{1000, 0, 90 * ms, 4000}, {1000, -1, 90 * ms, 4000}, {100_000, 1 * ms, 90 * ms, 200_000},
	} {
		if got := scaled(test.pages, test.made, test.after); got != test.want {
			t.Errorf("%+v: %d", test, got)
		}
	}
}
