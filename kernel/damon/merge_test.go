package damon

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

func decoded(t *testing.T, text string) any {
	t.Helper()
	var x any
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&x); err != nil {
		t.Fatal(err)
	}
	return x
}

// What is left out is as it was, or of something new as it is usual; lists get as many
// members as they are given; the base stays.
func TestMerge(t *testing.T) {
	base := planned()
	base[1].RefreshMS = new(uint64(7))
	before := deepCopy(base)
	merged, err := Merge(base, decoded(t, `{"kdamonds": [{"state": "off"}, {"refresh_ms": 9, "contexts": [{
		"monitoring_attrs": {"intervals": {"aggr_us": 200000}},
		"schemes": [{"quotas": {"ms": 5}, "filters": [{"type": "young"}]}, {"action": "stat", "access_pattern": {"sz": {"min": 4096}}}]}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := planned()
	want[0].State, want[1].RefreshMS = Off, new(uint64(9))
	c := &want[1].Contexts[0]
	c.Attrs.Intervals.Aggr, c.Schemes[0].Quotas.MS = 200_000, 5
	c.Schemes[0].Filters = []Filter{{Type: FilterYoung, Matching: true}}
	added := NewScheme(Stat)
	added.Pattern.Size.Min = 4096
	c.Schemes = append(c.Schemes, added)
	if !reflect.DeepEqual(merged, want) {
		t.Errorf("%+v\nwant\n%+v", merged, want)
	}
	if !reflect.DeepEqual(base, before) {
		t.Error("the base was changed")
	}
	fresh, err := Merge(nil, decoded(t, `[{"contexts": [{"operations": "paddr", "targets": [{}]}]}]`))
	if err != nil {
		t.Fatal(err)
	}
	usual := NewKdamond(PAddr)
	usual.Contexts[0].Targets = []Target{{Regions: []AddrRegion{}}}
	if !reflect.DeepEqual(fresh, []Kdamond{usual}) || fresh[0].Validate(0) != nil {
		t.Errorf("%+v", fresh)
	}
}

// What is wrong is named with its place.
func TestMergeErrors(t *testing.T) {
	for text, want := range map[string]string{
		`3`:                              "no kdamonds",
		`{"kdamonds": {}}`:               "no kdamonds",
		`[3]`:                            `0: "3": want an object`,
		`[{"contexts": {}}]`:             "0/contexts: ",
		`[{"context": []}]`:              "0/context: want one of contexts, pid",
		`[{"state": true}]`:              `0/state: "true": want a word`,
		`[{"refresh_ms": "5 mm"}]`:       `0/refresh_ms: "5 mm": want a number of milliseconds`,
		`[{"refresh_ms": -5}]`:           "0/refresh_ms: ",
		`[{"refresh_ms": 1.5}]`:          "0/refresh_ms: ",
		`[{"contexts": [{"pause": 1}]}]`: "0/contexts/0/pause: ",
	} {
		if _, err := Merge(nil, decoded(t, text)); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	for _, n := range []any{1.5, 1e300, math.NaN(), -1, "x", nil} {
		var v uint64
		if err := overlay(reflect.ValueOf(&v).Elem(), n, "at"); !errors.Is(err, ErrMalformed) {
			t.Errorf("%v: %d, %v", n, v, err)
		}
	}
	for _, n := range []any{5, int64(5), uint64(5), 5.0, json.Number("5")} {
		var v uint64
		if err := overlay(reflect.ValueOf(&v).Elem(), n, "at"); err != nil || v != 5 {
			t.Errorf("%T: %d, %v", n, v, err)
		}
	}
}

// Numbers may have the units of their fields.
func TestMergeUnits(t *testing.T) {
	list, err := Merge(nil, decoded(t, `[{"refresh_ms": "1 s", "contexts": [{"monitoring_attrs": {"intervals": {"sample_us": "5ms",
		"intervals_goal": {"access_bp": "4 %"}}}, "targets": [{"regions": [{"start": "4 KiB", "end": "1G"}]}],
		"schemes": [{"access_pattern": {"sz": {"max": "max"}, "nr_accesses": {"max": "max"}, "age": {"min": "3"}}, "quotas": {"ms": "2 s", "bytes": "128 MiB",
			"weights": {"age_permil": "50 %"}}, "watermarks": {"high": "20.5 %"}, "ops_filters": [{"type": "hugepage_size", "min": "2 MiB"}]}]}]}]`))
	if err != nil {
		t.Fatal(err)
	}
	c := list[0].Contexts[0]
	s := c.Schemes[0]
	if *list[0].RefreshMS != 1000 || c.Attrs.Intervals.Sample != 5000 || c.Attrs.Intervals.Goal.AccessBP != 400 || c.Targets[0].Regions[0] != (AddrRegion{4096, 1 << 30}) ||
		s.Pattern.Size.Max != math.MaxUint64 || s.Pattern.Accesses.Max != math.MaxUint32 || s.Pattern.Age.Min != 3 || s.Quotas.MS != 2000 ||
		s.Quotas.Bytes != 128<<20 || s.Quotas.Weights.Age != 500 || s.Watermarks.High != 205 || *s.OpsFilters[0].Min != 2<<20 {
		t.Errorf("%+v", list)
	}
}

// damoPlan is in the form that damo 3.3 writes.
const damoPlan = `{"kdamonds": [{"state": "on", "pid": "12", "refresh_ms": 0, "contexts": [{
	"ops": "vaddr", "addr_unit": "1 B", "pause": false, "probes": [],
	"targets": [{"pid": 42, "obsolete": false, "regions": [{"start": "4,096", "end": "8,192"}]}],
	"intervals": {"sample_us": "5 ms", "aggr_us": "100 ms", "ops_update_us": "1 s",
		"intervals_goal": {"access_bp": "4 %", "aggrs": "3", "min_sample_us": "5 ms", "max_sample_us": "10 s"}},
	"nr_regions": {"min": "10", "max": "1,000"},
	"sample_control": {"primitives_enabled": {"page_table": true, "page_fault": false}, "sample_filters": []},
	"schemes": [{"action": "migrate_cold", "target_nid": 1, "apply_interval_us": "1 m 30 s", "dests": [{"id": "1", "weight": "5"}],
		"access_pattern": {"sz_bytes": {"min": "4.000 KiB", "max": "max"}, "nr_accesses": {"min": "5 %", "max": "18,446,744,073,709,551,615 %"},
			"age": {"min": "1 m", "max": "max"}},
		"quotas": {"time_ms": "10 ms", "sz_bytes": "1024.000 MiB", "reset_interval_ms": "1 s", "fail_charge_num": "0", "fail_charge_denom": "0",
			"goals": [{"metric": "node_mem_used_bp", "nid": "0", "memcg_path": null, "target_value": "99.5 %", "current_value": "0"},
				{"metric": "some_mem_psi_us", "nid": null, "target_value": "10 ms", "current_value": "0"}],
			"goal_tuner": "consist", "effective_sz_bytes": "0 B", "weights": {"sz_permil": "0 %", "nr_accesses_permil": "0.1 %", "age_permil": "12.5 %"}},
		"watermarks": {"metric": "free_mem_rate", "interval_us": "5 s", "high_permil": "50 %", "mid_permil": "40 %", "low_permil": "20.5 %"},
		"filters": [
			{"filter_type": "anon", "matching": true, "allow": true, "memcg_path": null, "address_range": null, "damon_target_idx": null, "hugepage_size": null},
			{"filter_type": "addr", "matching": false, "allow": false, "address_range": {"start": "4,096", "end": "1,048,576"}},
			{"filter_type": "hugepage_size", "matching": true, "filter_pass": true, "hugepage_size": ["2.000 MiB", "max"]},
			{"filter_type": "memcg", "matching": true, "allow": false, "memcg_path": "/a/b"}],
		"stats": {"nr_tried": "7"}}]}]}]}`

// A set-up that damo wrote is one of the kernel's files, with the numbers that damo itself
// would write.
func TestDamo(t *testing.T) {
	list, err := ReadConfig(strings.NewReader(damoPlan))
	if err != nil {
		t.Fatal(err)
	}
	writes, err := Diff(nil, list)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, w := range writes {
		got[strings.TrimPrefix(w.File, "0/contexts/0/")] = w.To
	}
	const s = "schemes/0/"
	for file, want := range map[string]string{
		"0/state": "on", "operations": "vaddr", "targets/0/pid_target": "42", "targets/0/regions/0/start": "4096", "targets/0/regions/0/end": "8192",
		"monitoring_attrs/intervals/sample_us": "5000", "monitoring_attrs/intervals/update_us": "1000000",
		"monitoring_attrs/intervals/intervals_goal/access_bp": "400", "monitoring_attrs/intervals/intervals_goal/max_sample_us": "10000000",
		"monitoring_attrs/nr_regions/max": "1000", s + "action": "migrate_cold", s + "target_nid": "1", s + "apply_interval_us": "90000000",
		s + "dests/0/weight": "5", s + "access_pattern/sz/min": "4096", s + "access_pattern/sz/max": "18446744073709551615",
		s + "access_pattern/nr_accesses/min": "1", s + "access_pattern/nr_accesses/max": "4294967295", s + "access_pattern/age/min": "600",
		s + "access_pattern/age/max": "4294967295", s + "quotas/ms": "10", s + "quotas/bytes": "1073741824", s + "quotas/reset_interval_ms": "1000",
		s + "quotas/weights/nr_accesses_permil": "1", s + "quotas/weights/age_permil": "125", s + "quotas/goals/0/target_value": "9950",
		s + "quotas/goals/0/target_metric": "node_mem_used_bp", s + "quotas/goals/1/target_value": "10000", s + "watermarks/interval_us": "5000000",
		s + "watermarks/low": "205", s + "core_filters/nr_filters": "1", s + "core_filters/0/type": "addr", s + "core_filters/0/matching": "N",
		s + "core_filters/0/addr_end": "1048576", s + "ops_filters/nr_filters": "3", s + "ops_filters/0/allow": "Y", s + "ops_filters/1/min": "2097152",
		s + "ops_filters/1/allow": "Y", s + "ops_filters/2/memcg_path": "/a/b", s + "ops_filters/2/matching": "Y",
	} {
		if got[file] != want {
			t.Errorf("%s: %q, want %q", file, got[file], want)
		}
	}
	for _, file := range []string{"addr_unit", "pause", "0/refresh_ms", "targets/0/obsolete_target", s + "quotas/goal_tuner", s + "quotas/fail_charge_num"} {
		if to, ok := got[file]; ok {
			t.Errorf("%s is %s: not all kernels have it, and it is as usual", file, to)
		}
	}
}

// A set-up of damo's is whole: it leaves nothing of what was there.
func TestDamoOverBase(t *testing.T) {
	f := newFake(linux73)
	f.pids = append(f.pids, 42)
	c := f.control(t, Options{})
	tune := func(plan string) *Change {
		change, err := c.Tune(t.Context(), func(now []Kdamond) ([]Kdamond, error) { return Merge(now, decoded(t, plan)) })
		if err != nil {
			t.Fatal(err)
		}
		return change
	}
	start(t, c, planned()[:1])
	if again := tune(damoPlan).Kdamonds; f.files["0/contexts/0/schemes/0/ops_filters/0/allow"] != "Y" {
		t.Errorf("%+v", again)
	}
	tune(strings.Replace(damoPlan, `"allow": true`, `"allow": false`, 1))
	if says := f.files["0/contexts/0/schemes/0/ops_filters/0/allow"]; says != "N" {
		t.Errorf("the filter is to reject now, and allow is %s", says)
	}
}

// What a set-up of damo's leaves out is as damo leaves it, not as it was.
func TestDamoLeavesOut(t *testing.T) {
	base := planned()[1:]
	base[0].Contexts[0].Attrs.Intervals.Aggr = 200_000
	merged, err := Merge(base, decoded(t, `[{"contexts": [{"ops": "paddr", "targets": [{"regions": []}], "schemes": [{"action": "stat"}]}]}]`))
	if err != nil || merged[0].Contexts[0].Attrs.Intervals.Aggr != 100_000 || merged[0].Contexts[0].Schemes[0].Quotas.Bytes != 0 {
		t.Errorf("%+v, %v", merged, err)
	}
}

func TestDamoErrors(t *testing.T) {
	for old, wrong := range map[string]string{
		`"5 ms"`: `"5 mm"`, `"10",`: `[],`, `"1 m 30 s"`: `"-1 s"`, `"probes": []`: `"probes": [{"filters": []}]`, `"regions": [{`: `"regions": [3,{`,
		`["2.000 MiB", "max"]`: `["2 MiB"]`, `"5 %"`: `"5 apples"`, `"intervals": {`: `"intervals": 3, "x": {`, `"1 m"`: `""`, `"filters": [`: `"filters": 3, "y": [`,
	} {
		text := strings.Replace(damoPlan, old, wrong, 1)
		if text == damoPlan {
			t.Fatalf("no %s", old)
		}
		if _, err := ReadConfig(strings.NewReader(text)); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "0/contexts/0/") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

func TestDamoUnits(t *testing.T) {
	for _, c := range []struct {
		u    unit
		x    any
		want uint64
	}{
		{plain, "1,000", 1000}, {plain, json.Number("12"), 12}, {plain, 7.0, 7}, {plain, "min", 0}, {plain, "max", math.MaxUint64},
		{plain, "18,446,744,073,709,551,615", math.MaxUint64}, {microseconds, "5", 5}, {microseconds, "5ms", 5000}, {microseconds, "1 h 1 s", 3601e6},
		{microseconds, "1.500 ms", 1500}, {milliseconds, "90 s", 90000}, {byteSizes, "4K", 4096}, {byteSizes, "1.5 GiB", 3 << 29},
		{byteSizes, "17 EiB", math.MaxUint64}, {perMille, "12.5 %", 125}, {perMille, 3, 3}, {basisPoints, "99.99%", 9999}, {percent, "50 %", 50}, {basisPoints, "0.57 %", 57},
	} {
		if got, err := c.u.parse(c.x); err != nil || got != c.want {
			t.Errorf("%v of %s: %d, %v, want %d", c.x, c.u.name, got, err, c.want)
		}
	}
	for text, u := range map[string]unit{"500 us": milliseconds, "0.5": byteSizes, "999 ns": microseconds, "0.001 %": basisPoints} {
		if got, err := u.parse(text); err == nil { // 0 is no limit
			t.Errorf("%s of %s: %d", text, u.name, got)
		}
	}
	for _, text := range []string{"", " ", "x", "5 5", "5 ms x", "-5", "1.2.3", "ms", "nan", "inf"} {
		if got, err := microseconds.parse(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
}

// Rates and ages of damo are cut off when they are samples and aggregations, and not before.
func TestDamoFractions(t *testing.T) {
	const plan = `[{"contexts": [{"ops": "paddr", "intervals": {"sample_us": "5 ms", "aggr_us": "1 s"}, "schemes": [{"action": "stat",
		"access_pattern": {"nr_accesses": {"min": "5.5 %", "max": "99.9 %"}, "age": {"min": "0.5 s", "max": "2.999 s"}}}]}]}]`
	var configuration any
	if err := json.Unmarshal([]byte(plan), &configuration); err != nil {
		t.Fatal(err)
	}
	list, err := Merge(nil, configuration)
	if err != nil {
		t.Fatal(err)
	}
	if got := list[0].Contexts[0].Schemes[0].Pattern; got.Accesses != (Range{11, 199}) || got.Age != (Range{0, 2}) {
		t.Errorf("%+v", got)
	}
}
