package probe

import (
	"testing"
	"time"
)

// A trigger is refuted by silence only where one window must have had enough pressure.
func TestPressed(t *testing.T) {
	const ms = time.Millisecond
	for p, want := range map[pressed]Answer{
		{true, 60 * ms, 100 * ms}:   "fired, with pressure",
		{true, 60 * ms, 8000 * ms}:  "fired, with pressure",
		{true, 1 * ms, 10 * ms}:     "fired, without pressure",
		{false, 60 * ms, 100 * ms}:  "silent, with pressure",
		{false, 60 * ms, 3900 * ms}: "silent, with pressure",
		{false, 60 * ms, 7900 * ms}: "silent, with pressure spread over 8s",
		{false, 25 * ms, 100 * ms}:  "silent, with pressure spread over 0s",
		{false, 15 * ms, 100 * ms}:  "silent, without pressure",
	} {
		if got := p.answer(); got != want {
			t.Errorf("%+v: %q, want %q", p, got, want)
		}
	}
}
