package region_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/region"
)

// What is corrupted while nobody looks is found, once; what is whole is not.
func TestScrub(t *testing.T) {
	found := make(chan *region.Region, 10)
	s, err := region.StartScrub(20*time.Millisecond, func(r *region.Region, err error) {
		if !errors.Is(err, region.ErrCorrupt) {
			t.Error(err)
		}
		found <- r
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	whole, bad := mapped(t, 100, region.Guarded()), mapped(t, 100, region.Guarded(), region.Resident())
	table := mapped(t, 5000, region.ReadOnlyUntilClose(func(b []byte) error { fill(b); return nil }))
	closed := mapped(t, 100, region.Guarded(), region.Windowed())
	for _, r := range []*region.Region{whole, bad, table, closed} {
		if err := s.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := closed.Close(); err != nil && !errors.Is(err, region.ErrConflict) { // it may be looked at
		t.Error(err)
	}
	flip(bad.Bytes(), -1)
	if r := <-found; r != bad {
		t.Error("another region is said to be corrupt")
	}
	for deadline := time.Now().Add(10 * time.Second); looks(s) < 5 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if len(found) > 0 {
		t.Error("found again")
	}
	for _, v := range s.Verdicts() {
		if err := v.Validate(); err != nil || v.Requirement != "SV-INT-03" {
			t.Error(err, v)
		}
		// How soon it was is the machine's; that what is corrupt is broken is not.
		if v.Status == guarantee.Holds && strings.HasPrefix(v.Subject.Name, "Resident") {
			t.Errorf("%+v", v)
		}
	}
	s.Stop()
	s.Stop() // the second time it does nothing
}

// looks returns how often the whole region that was looked at least was.
func looks(s *region.Scrub) int {
	least := 1 << 30
	for _, v := range s.Verdicts() {
		n := 0
		if _, err := fmt.Sscanf(v.Observation.Raw[0], "%d looks", &n); err == nil && !strings.HasPrefix(v.Subject.Name, "Resident") {
			least = min(least, n)
		}
	}
	return least
}

func TestScrubRefuses(t *testing.T) {
	if _, err := region.StartScrub(0, func(*region.Region, error) {}); !errors.Is(err, region.ErrSize) {
		t.Error(err)
	}
	s, err := region.StartScrub(time.Hour, func(*region.Region, error) {})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if err := s.Add(mapped(t, 1)); !errors.Is(err, region.ErrConflict) {
		t.Errorf("nothing to look at: %v", err)
	}
	r := mapped(t, 1, region.Guarded())
	flip(r.Bytes(), 1)
	if err := s.Add(r); !errors.Is(err, region.ErrCorrupt) {
		t.Errorf("corrupt already: %v", err)
	}
	if err := s.Add(mapped(t, 2, region.Guarded())); err != nil {
		t.Error(err)
	}
	if v := s.Verdicts(); len(v) != 1 || v[0].Status != guarantee.Unknown {
		t.Errorf("not looked at yet: %+v", v)
	}
}
