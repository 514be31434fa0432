package corpus

import (
	"context"
	"errors"
	"testing"

	"github.com/safevma/safevma/pmem/crash"
)

// Every class is caught, and every twin is clean and explored completely.
func TestCorpus(t *testing.T) {
	for _, c := range Cases() {
		t.Run(c.Class, func(t *testing.T) {
			v, err := c.Try(context.Background())
			if err != nil {
				t.Fatalf("%v\n%v", err, v.Broken)
			}
			t.Logf("%v", v.Failure)
		})
	}
}

// The negative controls: with a checker made blind, and with a workload that does nothing, no
// case passes, neither as caught nor as clean.
func TestBlind(t *testing.T) {
	for _, c := range Cases() {
		t.Run(c.Class, func(t *testing.T) {
			for _, control := range []struct {
				variant Variant
				want    error
			}{{Blind, crash.ErrBlind}, {BlindTwin, crash.ErrBlind}, {Idle, crash.ErrNothingChecked}} {
				explore := c.Explore
				c := c
				c.Explore = func(ctx context.Context, cfg crash.Config, _ Variant) (*crash.Report, error) {
					return explore(ctx, cfg, control.variant)
				}
				_, err := c.Try(context.Background())
				if control.variant == Blind && c.Want != nil && errors.Is(err, c.Want) {
					continue // the run itself shows it, before any failure: nothing to blind
				}
				if !errors.Is(err, control.want) {
					t.Errorf("control %d: %v, not: %v", control.variant, err, control.want)
				}
			}
		})
	}
}

// A case whose variants are not what they should be fails, whatever the case.
func TestSwapped(t *testing.T) {
	for _, c := range Cases() {
		for always, want := range map[Variant]error{Twin: ErrMissed, Broken: ErrAlarm} {
			explore := c.Explore
			c := c
			c.Explore = func(ctx context.Context, cfg crash.Config, _ Variant) (*crash.Report, error) {
				return explore(ctx, cfg, always)
			}
			if _, err := c.Try(context.Background()); !errors.Is(err, want) {
				t.Errorf("%s, always variant %d: %v", c.Class, always, err)
			}
		}
	}
}
