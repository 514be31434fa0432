package damo

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/safevma/safevma/kernel/damon"
	"github.com/safevma/safevma/watch/recording"
)

// imported returns the entries of a file.
func imported(t testing.TB, text string) ([]recording.Entry, Summary, error) {
	t.Helper()
	var out bytes.Buffer
	w, err := recording.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Import(strings.NewReader(text), "test", w)
	if err != nil {
		return nil, s, err
	}
	if err := w.Close(recording.End{}); err != nil {
		t.Fatal(err)
	}
	r, err := recording.NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []recording.Entry
	for {
		e, err := r.Next()
		if err == io.EOF {
			return all[1 : len(all)-1], s, nil
		}
		if err != nil {
			t.Fatal(err)
		}
		if one, ok := e.(*recording.Snapshot); ok {
			c := *one
			c.Regions = append([]damon.Region(nil), one.Regions...)
			e = &c
		}
		all = append(all, e)
	}
}

func snap(thread int, target uint64, start, end int64, expected uint64, regions ...damon.Region) *recording.Snapshot {
	return &recording.Snapshot{Snapshot: damon.Snapshot{Thread: thread, Target: target, Start: start, End: end, Expected: expected, Regions: regions}}
}

func equal(t *testing.T, got, want []recording.Entry) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d: %+v", len(got), len(want), got)
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("entry %d: %+v\nwant %+v", i, got[i], want[i])
		}
	}
}

// The text of perf script and of trace-cmd, with and without latency, and what damo makes
// of them itself; an older kernel tells no age.
func TestText(t *testing.T) {
	got, s, err := imported(t, `cpus=8
kdamond.0  4452 [000] 82877.315633: damon:damon_aggregated: target_id=0 nr_regions=2 4096-8192: 0 3
kdamond.0  4452 [000] 82877.315634: damon:damon_aggregated: target_id=0 nr_regions=2 8192-16384: 20 40
kdamond.0-4452  [001] ..... 82878.315633: damon_aggregated:     target_id=0 nr_regions=1 4096-18446744073709551615: 1 2
kdamond.0-4452  [001] 82879.5: damon_aggregated: target_id=0 nr_regions=1 4096-8192: 1
kdamond.0  4452 [001] 82879.500001: damon:damon_monitor_intervals_tune: sample_us=80000
kdamond.x xxxx xxxx 82880.000000: damon:damon_aggregated: target_id=18446623435582458880 nr_regions=1 0-4096: 7 8
kdamond.x xxxx xxxx 82881.000000: damon:damon_aggregated: target_id=18446623435582458880 nr_regions=1 0-0: -1 -1
kdamond.0  4452 [000] 82882.000000: damon:damos_before_apply: ctx_idx=0 scheme_idx=0 target_idx=0 nr_regions=11 4096-8192: 0 136
`)
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string) int64 { f, _ := strconv.ParseFloat(s, 64); return int64(f * 1e9) }
	equal(t, got, []recording.Entry{
		snap(4452, 0, 0, at("82877.315633"), 2, damon.Region{Start: 4096, End: 8192, Age: 3}, damon.Region{Start: 8192, End: 16384, Accesses: 20, Age: 40}),
		snap(4452, 0, at("82877.315633"), at("82878.315633"), 1, damon.Region{Start: 4096, End: 1<<64 - 1, Accesses: 1, Age: 2}),
		snap(4452, 0, at("82878.315633"), at("82879.5"), 1, damon.Region{Start: 4096, End: 8192, Accesses: 1}),
		&recording.Tuned{IntervalsTuned: damon.IntervalsTuned{Origin: damon.Origin{Time: at("82879.500001"), Thread: 4452}, Sample: 80000}},
		snap(0, 18446623435582458880, 0, at("82880"), 1, damon.Region{Start: 0, End: 4096, Accesses: 7, Age: 8}),
	})
	if s != (Summary{Format: Text, Snapshots: 4, Regions: 5, Skipped: 2, End: at("82880")}) {
		t.Errorf("%+v", s)
	}
}

// Regions that are missing are said to be.
func TestTextPartial(t *testing.T) {
	got, s, err := imported(t, "k 1 [0] 1.0: damon_aggregated: target_id=0 nr_regions=3 1-2: 0 0\nk 1 [0] 2.0: damon_aggregated: target_id=0 nr_regions=1 1-2: 0 0\n")
	if err != nil || s.Partial != 1 || s.Snapshots != 2 || len(got) != 2 || got[0].(*recording.Snapshot).Whole() {
		t.Errorf("%+v, %+v, %v", got, s, err)
	}
}

// Times are what float64 arithmetic makes of the text, fast or slow.
func TestSeconds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100000 {
		text := fmt.Sprintf("%d.%0*d", r.Uint64N(1e7), 1+r.IntN(9), r.Uint64N(10))
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := seconds([]byte(text)); err != nil || got != int64(f*1e9) {
			t.Fatalf("%s: %d, %v, want %d", text, got, err, int64(f*1e9))
		}
	}
	for _, bad := range []string{"", ".", "1.2.3", "x", "-1.0", "1e300", "NaN", "12:"} {
		if got, err := seconds([]byte(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %d, %v", bad, got, err)
		}
	}
}

// Eight digits at once are what they are one by one, and anything else is none.
func TestNumber(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 100000 {
		n := r.Uint64() >> r.IntN(64)
		s := scanner{left: []byte(fmt.Sprintf(" x= %d-", n))}
		if got := s.number("x="); got != n || s.bad || string(s.left) != "-" {
			t.Fatalf("%d: %d, %+v", n, got, s)
		}
	}
	for c := range 256 {
		for at := range 8 {
			text := []byte("00000000")
			text[at] = byte(c)
			_, err := strconv.ParseUint(string(text), 10, 64)
			if got, ok := eightDigits(binary.LittleEndian.Uint64(text)); ok != (err == nil && c != '+') {
				t.Fatalf("%q: %d, %v", text, got, ok)
			}
		}
	}
	for _, bad := range []string{"18446744073709551616", "99999999999999999999", "184467440737095516150", "", "-1"} {
		s := scanner{left: []byte(bad)}
		if got := s.number(""); !s.bad {
			t.Errorf("%q: %d", bad, got)
		}
	}
}

const records = `[
    {
        "kdamond_idx": 1, "context_idx": 0,
        "intervals": {"sample_us": "5000", "aggr_us": "100,000", "ops_update_us": "1000000",
            "intervals_goal": {"access_bp": "400.000000", "aggrs": "3", "min_sample_us": "5000", "max_sample_us": "10000000"}},
        "scheme_idx": 2, "target_id": 7, "scheme_filters": [{"a": [1, {"b": 2}]}],
        "snapshots": [
            {"start_time": "1000", "end_time": "2000", "sample_interval_us": "10000", "total_bytes": "8,192",
             "regions": [
                {"start": "4,096", "end": "8,192", "nr_accesses": {"samples": 10, "percent": null}, "age": {"usec": null, "aggr_intervals": "4"}, "probe_hits": [], "sz_filter_passed": "0 B"},
                {"start": 8192, "end": 12288, "nr_accesses": {"samples": 0, "percent": null}, "age": {"usec": null, "aggr_intervals": null}}]},
            {"start_time": 2000, "end_time": 3000, "regions": [], "damos_stats": null}
        ],
        "data_source": "unknown"
    },
    {"kdamond_idx": null, "context_idx": null, "intervals": null, "target_id": 0, "snapshots": [{"start_time": 5, "end_time": 6, "regions": [{"start": 1, "end": 2, "nr_accesses": {"samples": 1}, "age": {"aggr_intervals": 1}}]}]}
]`

// Numbers with commas, as text and as such; null is not known.
func TestJSON(t *testing.T) {
	scheme := 2
	thread := 2<<20 | 1<<10 | 3
	want := []recording.Entry{
		&recording.Setup{Contexts: []recording.Context{{Thread: thread, Kdamond: 1, Scheme: &scheme, AddrUnit: 1,
			Intervals: damon.Intervals{Sample: 5000, Aggr: 100000, Update: 1000000, Goal: &damon.IntervalsGoal{AccessBP: 400, Aggrs: 3, MinSample: 5000, MaxSample: 10000000}}}}},
		&recording.Tuned{IntervalsTuned: damon.IntervalsTuned{Origin: damon.Origin{Time: 2000, Thread: thread}, Sample: 10000}},
		snap(thread, 7, 1000, 2000, 2, damon.Region{Start: 4096, End: 8192, Accesses: 10, Age: 4}, damon.Region{Start: 8192, End: 12288}),
		snap(thread, 7, 2000, 3000, 0),
		snap(0, 0, 5, 6, 1, damon.Region{Start: 1, End: 2, Accesses: 1, Age: 1}),
	}
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	if _, err := io.WriteString(w, records); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		format Format
		text   string
	}{{JSON, records}, {JSONCompressed, z.String()}} {
		got, s, err := imported(t, c.text)
		if err != nil || s != (Summary{Format: c.format, Snapshots: 3, Regions: 3, End: 3000}) {
			t.Fatalf("%+v, %v", s, err)
		}
		equal(t, got, want)
	}
}

// What is wrong is said with its place.
func TestMalformed(t *testing.T) {
	line := "k 1 [0] 2.0: damon_aggregated: target_id=0 nr_regions=1 1-2: 0 0\n"
	for _, c := range []struct{ text, place string }{
		{"", "empty"},
		{"PERFILE2xxxxxxx", "perf script"},
		{"nothing of that\n", "no snapshot"},
		{line + strings.Replace(line, "2.0", "1.0", 1), "line 2"},
		{line + strings.Replace(line, "id=0", "id=1", 1) + strings.Replace(line, "2.0", "1.0", 1), "line 3"},
		{line + strings.Replace(line, "nr_regions=1", "nr_regions=", 1), "line 2"},
		{line + strings.Replace(line, "1-2", "2-1", 1), "line 2"},
		{line + strings.Replace(line, "1-2: 0 0", "1-2: 0 0 0", 1), "line 2"},
		{line + strings.Replace(line, "1-2: 0 0", "1-2:", 1), "line 2"},
		{line + strings.Replace(line, "1-2", "18446744073709551616-2", 1), "line 2"},
		{line + strings.Replace(line, "2.0:", "two:", 1), "line 2"},
		{line + strings.Repeat("x", lineMost+1), "line 2"},
		{"[]", "no snapshot"},
		{records[:len(records)-1], "byte "},
		{records + "x", "byte "},
		{records[:700], "byte "},
		{strings.Replace(records, `"end_time": 3000`, `"end_time": "soon"`, 1), "byte "},
		{strings.Replace(records, `"data_source": "unknown"`, `"intervals": null`, 1), "behind the snapshots"},
		{strings.Replace(records, `"8,192", "nr`, `"1", "nr`, 1), "a region from 4096 to 1"},
		{`{"snapshots": []}`, "byte "},
		{"[" + strings.Repeat("[", depthMost) + "]", "byte "},
		{`[{"other": ` + strings.Repeat("[", depthMost), "deep"},
		{`[{"other": "` + strings.Repeat("x", textMost+1), "more than"},
		{`[{"other": "\`, "too early"},
		{`[{"target_id": nul}]`, "byte "},
		{`[{"target_id": ""}]`, "the number"},
		{`[{"target_id": 1 2}]`, "not a comma"},
		{`[{"target_id": -1}]`, "the number"},
		{`[{"target_id": 1e30}]`, "the number"},
		{`[{"intervals": no}]`, "byte "},
		{strings.Replace(records, `"start_time": 2000`, `"start_time": 9223372036854775808`, 1), "a snapshot from"},
		{`[{"snapshots": [{"regions": [` + strings.Repeat(`{},`, regionsMost) + `{}]}]}]`, "more than 1048576 regions"},
		{"\x78\x9cnot compressed", "malformed"},
	} {
		_, _, err := imported(t, c.text)
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.place) {
			t.Errorf("%.60q: %v, want %q", c.text, err, c.place)
		}
	}
}

func FuzzImport(f *testing.F) {
	f.Add(records)
	f.Add("k 1 [0] 2.0: damon_aggregated: target_id=0 nr_regions=1 1-2: 0 0\nk 1 [0] 2.0: damon_monitor_intervals_tune: sample_us=1\n")
	f.Fuzz(func(t *testing.T, text string) { _, _, _ = imported(t, text) })
}
