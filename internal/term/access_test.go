package term

import (
	"math"
	"strings"
	"testing"

	"github.com/safevma/safevma/kernel/damon"
	"github.com/safevma/safevma/watch/access"
	"github.com/safevma/safevma/watch/recording"
)

func contains(t *testing.T, got string, all ...string) {
	t.Helper()
	for _, want := range all {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// The hottest regions come first, what is not known is not said, and what was lost is.
func TestAccess(t *testing.T) {
	rate, age, zero, end := 25.0, 90.0, 0.0, 1.0
	r := &access.Report{Lost: 3, Targets: []access.Target{{Thread: 7, Snapshots: 9, Partial: 2, Bytes: 12288,
		Context: &recording.Context{Kdamond: 1, Owner: damon.ByInterface, Operations: "vaddr\x1b", PIDs: []int{812}, Intervals: damon.Intervals{Sample: 5000, Aggr: 100000}},
		Regions: []access.Region{{Start: 0x1000, End: 0x2000, Bytes: 4096, Rate: &zero, Seconds: &age}, {Start: 0x2000, End: 0x4000, Bytes: 8192, Accesses: 5, Rate: &rate, Seconds: &age}},
		Recency: []access.Bucket{{To: &zero, Bytes: 8192}, {To: &end}, {From: 1, Bytes: 4096}}, Temperature: []access.Bucket{{From: -90, To: &age, Bytes: 12288}}}}}
	got := shown(func(w *Writer) { w.Access(r, false) })
	contains(t, got, "at least 3 events were lost", "kdamond 1, target 0 (interface, thread 7), pid 812; sample 5ms, aggregation 100ms; 9 snapshots, 2 of them lack regions",
		"2 regions, 12 KiB", "25 %", "1.5 min", "now", "8 KiB ####", "less than 1 s ago", "1 s ago and longer", "-1.5 min to 1.5 min")
	if strings.Index(got, "2000-4000") > strings.Index(got, "1000-2000") {
		t.Errorf("the hottest is not first:\n%s", got)
	}
	all := shown(func(w *Writer) { w.Access(r, true) })
	if strings.Index(all, "2000-4000") < strings.Index(all, "1000-2000") {
		t.Errorf("not in the order of addresses:\n%s", all)
	}
	r.Targets[0].Context.PIDs = nil
	contains(t, shown(func(w *Writer) { w.Access(r, false) }), `vaddr\x1b`)
	r.Targets[0] = access.Target{Thread: 7, Regions: []access.Region{{Start: 1, End: 2, Bytes: 1, Accesses: 5, Age: 3}}}
	got = shown(func(w *Writer) { w.Access(r, false) })
	contains(t, got, "thread 7, target 0", "5×", " 3\n")
	if strings.Contains(got, "LAST ACCESSED") || strings.Contains(got, "%") {
		t.Errorf("said without knowing:\n%s", got)
	}
}

func TestWorkingSets(t *testing.T) {
	list := []access.Percentile{{Percent: 0, Bytes: 4096}, {Percent: 100, Bytes: 8192}}
	got := shown(func(w *Writer) {
		w.WorkingSets(&access.WorkingSets{Accesses: 2, Targets: []access.WorkingSet{{Thread: 7, Snapshots: 5, Partial: 1, Average: 6144, BySize: list, ByTime: list}}})
	})
	contains(t, got, "5 snapshots", "1 snapshots lack regions", "at least 2×", "6 KiB on average", "   0 %     4 KiB ###############\n", " 100 %     8 KiB ##############################\n", "BY TIME")
	got = shown(func(w *Writer) {
		w.Footprints(&access.Footprints{Of: []access.Footprint{{Samples: 2, Resident: list, Size: list, Shared: list}, {PID: 812, Resident: list, Size: list, Shared: list}}})
	})
	contains(t, got, "host: 2 samples", "NOT FREE", "pid 812", "RESIDENT", "8 KiB")
}

func TestSeconds(t *testing.T) {
	for value, want := range map[float64]string{0: "0 s", 0.25: "250 ms", 59: "59 s", 90: "1.5 min", -7200: "-2 h", 2 * 86400: "2 d"} {
		if got := seconds(value); got != want {
			t.Errorf("%v: %s, want %s", value, got, want)
		}
	}
}

// A target of any number, as old kernels have, is named.
func TestAccessTargetNumber(t *testing.T) {
	r := &access.Report{Targets: []access.Target{{Target: math.MaxUint64, Context: &recording.Context{}}}}
	contains(t, shown(func(w *Writer) { w.Access(r, false) }), "target 18446744073709551615")
}
