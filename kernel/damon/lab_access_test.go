package damon

import (
	"testing"
	"time"

	"github.com/safevma/safevma/internal/hog"
)

const (
	victimBytes = 32 << 20
	hotBytes    = 8 << 20
)

// A process uses the first quarter of its memory all the time, and the rest never: DAMON finds
// the one hot and the other cold, whichever way it watches. The control is the opposite: the
// last quarter.
func TestLabAccesses(t *testing.T) {
	for _, by := range []Operations{VAddr, FVAddr, PAddr} {
		for _, tt := range []struct {
			name     string
			from, to int
		}{{"first quarter", 0, hotBytes}, {"last quarter", victimBytes - hotBytes, victimBytes}} {
			t.Run(string(by)+"/"+tt.name, func(t *testing.T) {
				c := labControl(t, by)
				still(t)
				victim := hog.Maps(t, hog.Mapping{Bytes: victimBytes})
				if err := victim.Begin(); err != nil {
					t.Fatal(err)
				}
				hot, cold := parts(t, victim, by, tt.from, tt.to)
				if _, err := c.Start(t.Context(), watching(by, victimTargets(victim, by, hot, cold), NewScheme(Stat))); err != nil {
					t.Fatal(err)
				}
				if err := victim.Keep(0, tt.from, tt.to); err != nil {
					t.Fatal(err)
				}
				found := await(t, c, hot, cold)
				if err := victim.Rest(); err != nil {
					t.Fatal(err)
				}
				t.Logf("of what is used %.0f%% are seen used, in %.1f of 20 samples; of the rest %.0f%%", 100*found.hot.used, found.hot.accesses, 100*found.cold.used)
				if !found.tells() {
					t.Errorf("%+v", found)
				}
			})
		}
	}
}

// parts are where the used part is, and the rest: as addresses of the kind that is watched.
func parts(t *testing.T, v *hog.Victim, by Operations, from, to int) (hot, cold []AddrRegion) {
	t.Helper()
	at := v.Address(0)
	add := func(to *[]AddrRegion, start, end uint64) {
		switch {
		case start == end:
		case by == PAddr:
			*to = append(*to, physical(t, v.PID, start, end, 16<<10)...)
		default:
			*to = append(*to, AddrRegion{start, end})
		}
	}
	add(&hot, at+uint64(from), at+uint64(to))
	add(&cold, at, at+uint64(from))
	add(&cold, at+uint64(to), at+victimBytes)
	if size(hot) < hotBytes/4 || size(cold) < (victimBytes-hotBytes)/4 {
		t.Fatalf("too little of it is in long runs: %d and %d bytes", size(hot), size(cold))
	}
	return hot, cold
}

func victimTargets(v *hog.Victim, by Operations, hot, cold []AddrRegion) []Target {
	switch by {
	case VAddr: // it finds the regions itself
		return []Target{{PID: v.PID}}
	case FVAddr:
		return []Target{{PID: v.PID, Regions: []AddrRegion{{v.Address(0), v.Address(0) + victimBytes}}}}
	}
	return []Target{{Regions: inOrder(hot, cold)}}
}

// seen is what DAMON says of a part: how much of it it saw used, and in how many samples on
// average.
type seen struct{ used, accesses float64 }

type finding struct{ hot, cold seen }

func (f finding) tells() bool {
	return f.hot.used > 0.7 && f.cold.used < 0.3 && f.hot.accesses > 4*f.cold.accesses
}

// await looks until the parts differ as they should, or patience is over.
func await(t *testing.T, c *Control, hot, cold []AddrRegion) (f finding) {
	t.Helper()
	for deadline := time.Now().Add(labPatience); time.Now().Before(deadline); {
		regions := update(t, c, UpdateRegions)[0].Tried.Regions
		f = finding{look(regions, hot), look(regions, cold)}
		if f.tells() {
			break
		}
	}
	return f
}

// look sums up the regions that are in a part, each by what of it is there.
func look(regions []TriedRegion, part []AddrRegion) (s seen) {
	var all float64
	for _, p := range part {
		all += float64(p.End - p.Start)
		for _, r := range regions {
			if start, end := max(r.Start, p.Start), min(r.End, p.End); start < end {
				s.accesses += float64(end-start) * float64(r.Accesses)
				if r.Accesses > 0 {
					s.used += float64(end - start)
				}
			}
		}
	}
	return seen{s.used / all, s.accesses / all}
}
