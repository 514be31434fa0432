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

// A twin of which little was explored is not clean.
func TestIdle(t *testing.T) {
	few := &crash.ModelReport{Images: "3", ImagesChecked: "3", Controls: 1}
	for _, models := range [][]*crash.ModelReport{nil, {few}} {
		v := &Verdict{Twin: &crash.Report{Models: models}}
		if err := v.explored(); !errors.Is(err, ErrIdle) {
			t.Errorf("%d models: %v", len(models), err)
		}
	}
}

// Each class that the explorer is gated on has a case.
func TestClasses(t *testing.T) {
	classes := []string{
		"missing flush", "missing fence", "wrong order across lines", "flush of the wrong or a partial range",
		"redundant flush", "redundant fence", "unlogged store", "log written after the store", "wrong log de-duplication",
		"torn record: no checksum", "torn record: checksum without the sequence", "torn record: checksum without the length",
		"stale record replayed", "freed space reused while a live record covers it",
		"a later record acknowledged before an earlier one is durable", "two words of one line taken as atomic",
		"split not atomic", "merge not atomic", "resize not atomic", "recovery condition inverted", "recovery missing",
		"recovery not idempotent", "leak in allocation", "dangling link in allocation", "double free or overlap",
		"acknowledged before durable", "lock released before the fence", "persistent lock left held",
		"wide store taken as atomic", "8 bytes across a line", "fence left out after non-temporal stores on eADR",
		"header and data in one sync", "one page's sync skipped", "creation interrupted",
		"log overflow and chains of three and more", "out of space in commit", "out of space in free",
		"volatile pointer stored", "replica ahead of its source", "replica apart from its source",
		"secret left in the heap after erase", "secret left in the log after erase", "secret left in the replica after erase",
		"label lost or older than its data", "tail moved before it is durable", "two superblocks in doubt: no checksum",
		"two superblocks in doubt: the valid one overwritten", "two appliers on one bitmap word", "scrub over reused space",
		"file size not durable", "half an object seen beside a live writer",
	}
	found := map[string]int{}
	for _, c := range Cases() {
		found[c.Class]++
	}
	for _, c := range classes {
		if found[c] != 1 {
			t.Errorf("%q has %d cases", c, found[c])
		}
	}
}
