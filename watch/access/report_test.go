package access

import (
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/safevma/safevma/kernel/damon"
	"github.com/safevma/safevma/watch/recording"
)

func source(entries ...recording.Entry) Source {
	return func(fn func(recording.Entry) error) error {
		for _, e := range entries {
			if err := fn(e); err != nil {
				return err
			}
		}
		return nil
	}
}

func shot(target uint64, end int64, expected uint64, regions ...damon.Region) *recording.Snapshot {
	return &recording.Snapshot{Snapshot: damon.Snapshot{Thread: 7, Target: target, End: end, Expected: expected, Regions: regions}}
}

func watched(unit uint64) *recording.Setup {
	return &recording.Setup{Contexts: []recording.Context{{Thread: 7, AddrUnit: unit, Intervals: damon.Intervals{Sample: 5000, Aggr: 100000}}}}
}

// The last whole snapshot is shown, in bytes, per cent and seconds.
func TestReport(t *testing.T) {
	start := &recording.Start{Time: time.Unix(1000, 0), Monotonic: 5e9}
	r, err := ReadReport(source(start, watched(4096), shot(0, 6e9, 1, damon.Region{Start: 1, End: 9}),
		shot(0, 7e9, 2, damon.Region{Start: 1, End: 3, Accesses: 5, Age: 20}, damon.Region{Start: 3, End: 4, Age: 30}),
		&recording.Lost{Events: 3}, &recording.Lost{}, shot(0, 8e9, 2, damon.Region{Start: 1, End: 3})))
	if err != nil || len(r.Targets) != 1 || r.Lost != 4 {
		t.Fatalf("%+v, %v", r, err)
	}
	target := &r.Targets[0]
	if target.Snapshots != 3 || target.Partial != 1 || target.At != 7e9 || target.Bytes != 3*4096 || !r.Wall(target).Equal(time.Unix(1002, 0)) {
		t.Errorf("%+v", target)
	}
	hot, cold := target.Regions[0], target.Regions[1]
	if hot.Bytes != 8192 || *hot.Rate != 25 || *hot.Seconds != 2 || hot.Temperature() != 2 || cold.Bytes != 4096 || *cold.Rate != 0 || cold.Temperature() != -3 {
		t.Errorf("%+v %+v", hot, cold)
	}
}

// Tuned intervals count; without intervals nothing is said of seconds.
func TestReportIntervals(t *testing.T) {
	one := shot(0, 7e9, 1, damon.Region{Start: 1, End: 3, Accesses: 5, Age: 20})
	r, err := ReadReport(source(watched(1), &recording.Tuned{IntervalsTuned: damon.IntervalsTuned{Origin: damon.Origin{Thread: 7}, Sample: 10000}}, one))
	if err != nil || *r.Targets[0].Regions[0].Rate != 25 || *r.Targets[0].Regions[0].Seconds != 4 {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = ReadReport(source(one))
	if err != nil || r.Targets[0].Regions[0].Rate != nil || len(r.Targets[0].Recency) != 0 || !r.Wall(&r.Targets[0]).IsZero() {
		t.Errorf("%+v, %v", r, err)
	}
}

func at(bytes, accesses uint64, seconds float64) Region {
	return Region{Bytes: bytes, Accesses: accesses, Seconds: &seconds}
}

func bytesOf(list []Bucket) (all []uint64) {
	for _, b := range list {
		all = append(all, b.Bytes)
	}
	return all
}

// Ends belong to the range behind; what is longer ago than all has a range, too.
func TestRecency(t *testing.T) {
	list := recency([]Region{at(1, 1, 500), at(2, 0, 0), at(4, 0, 0.99), at(8, 0, 1), at(16, 0, 59), at(32, 0, 86400), at(64, 0, 1e9)})
	if got, want := bytesOf(list), []uint64{1, 6, 8, 16, 0, 0, 0, 96}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if list[len(list)-1].To != nil || *list[0].To != 0 || *list[1].To != 1 {
		t.Errorf("%+v", list)
	}
	if got := bytesOf(recency([]Region{at(1, 0, 2)})); !reflect.DeepEqual(got, []uint64{0, 0, 1}) {
		t.Errorf("empty ends are left out: %v", got)
	}
}

func TestTemperature(t *testing.T) {
	list := temperature([]Region{at(1, 0, 50), at(2, 1, 50), at(4, 1, 0), at(8, 0, 41)})
	if got, want := bytesOf(list), []uint64{9, 0, 0, 0, 0, 4, 0, 0, 0, 2}; !reflect.DeepEqual(got, want) || list[0].From != -50 || *list[9].To != 50 {
		t.Errorf("%v, want %v", got, want)
	}
	if list := temperature([]Region{at(1, 1, 5), at(2, 1, 5)}); len(list) != 1 || list[0].Bytes != 3 {
		t.Errorf("all the same: %+v", list)
	}
}

// Sizes are sums of what was accessed often enough; partial snapshots do not count.
func TestWSS(t *testing.T) {
	var entries []recording.Entry
	for i := range uint64(10) {
		entries = append(entries, shot(3, int64(i), 2, damon.Region{Start: 0, End: 100 - 10*i, Accesses: 2}, damon.Region{Start: 200, End: 201, Accesses: 1}))
	}
	entries = append(entries, shot(3, 10, 3, damon.Region{Start: 0, End: 1 << 40, Accesses: 9}))
	w, err := ReadWSS(source(entries...), WSSOptions{})
	if err != nil || len(w.Targets) != 1 {
		t.Fatalf("%+v, %v", w, err)
	}
	s := w.Targets[0]
	if s.Snapshots != 10 || s.Partial != 1 || s.Average != 56 {
		t.Errorf("%+v", s)
	}
	if want := []Percentile{{0, 11}, {25, 31}, {50, 61}, {75, 81}, {95, 101}, {99, 101}, {100, 101}}; !reflect.DeepEqual(s.BySize, want) {
		t.Errorf("%v", s.BySize)
	}
	if s.ByTime[0] != (Percentile{0, 101}) || s.ByTime[5] != (Percentile{50, 51}) || s.ByTime[10] != (Percentile{100, 11}) {
		t.Errorf("%v", s.ByTime)
	}
	w, err = ReadWSS(source(entries...), WSSOptions{Accesses: 2, Skip: 9})
	if err != nil || w.Targets[0].Average != 10 || w.Targets[0].Snapshots != 1 {
		t.Errorf("%+v, %v", w, err)
	}
	w, err = ReadWSS(source(watched(4096), shot(0, 1, 1, damon.Region{Start: 1, End: 2, Accesses: 1})), WSSOptions{})
	if err != nil || w.Targets[0].Average != 4096 {
		t.Errorf("units: %+v, %v", w, err)
	}
}

func TestFootprints(t *testing.T) {
	f, err := ReadFootprints(source(&recording.Footprint{PID: 7, Resident: 30, Size: 1, Shared: 2}, &recording.Footprint{PID: 7, Resident: 10, Size: 3, Shared: 4},
		&recording.Footprint{Resident: 5}))
	if err != nil || len(f.Of) != 2 || f.Of[0].PID != 7 || f.Of[0].Samples != 2 || f.Of[0].Resident[0].Bytes != 10 || f.Of[0].Resident[6].Bytes != 30 || f.Of[1].PID != 0 {
		t.Errorf("%+v, %v", f, err)
	}
	if h, ok := hostFootprint("MemTotal:  100 kB\nMemFree:  40 kB\nCached: 7 kB\n"); !ok || h.Size != 102400 || h.Resident != 60<<10 || h.Shared != 7<<10 {
		t.Errorf("%+v, %v", h, ok)
	}
	if p, ok := processFootprint("5 3 1 0 0 0 0\n"); !ok || p.Resident != 3*p.Shared || p.Shared == 0 {
		t.Errorf("%+v, %v", p, ok)
	}
	for _, bad := range []string{"", "MemFree: 5 kB\n", "MemTotal: 1 kB\nMemFree: 2 kB\n"} {
		if h, ok := hostFootprint(bad); ok {
			t.Errorf("%q: %+v", bad, h)
		}
	}
	if p, ok := processFootprint("5 x"); ok {
		t.Errorf("%+v", p)
	}
}

func TestNothing(t *testing.T) {
	partial := source(watched(1), shot(0, 1, 2, damon.Region{Start: 1, End: 2}))
	if r, err := ReadReport(partial); !errors.Is(err, ErrNothing) {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := ReadWSS(partial, WSSOptions{}); !errors.Is(err, ErrNothing) {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := ReadWSS(source(shot(0, 1, 0)), WSSOptions{Skip: math.MaxInt}); !errors.Is(err, ErrNothing) {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := ReadFootprints(partial); !errors.Is(err, ErrNothing) {
		t.Errorf("%+v, %v", r, err)
	}
}
