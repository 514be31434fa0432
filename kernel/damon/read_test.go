package damon

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// A tree as Linux 6.18 shows it is read, and written the same again: no file is left out,
// none is named wrongly.
func TestTree618(t *testing.T) {
	in, err := tree618(t).Read()
	if err != nil {
		t.Fatal(err)
	}
	if len(in.Unknown) > 0 {
		t.Errorf("unknown: %v", in.Unknown)
	}
	again := content(t, fake(t, in).Admin())
	if want := text618(t); !maps.Equal(again, want) {
		t.Errorf("read and written again:\n%v\nwant\n%v", again, want)
	}
	s := &in.Kdamonds[0].Contexts[0].Schemes[0]
	if s.Action != PageOut || s.Pattern.Age.Min != 12 || len(s.OpsFilters) != 2 || s.OpsFilters[1].Type != FilterUnmapped ||
		!s.OpsFilters[1].Allows() || s.OpsFilters[0].Allows() || !s.OpsFilters[0].Matching || value(s.TargetNID) != -1 {
		t.Errorf("%+v", s)
	}
	if err := in.Kdamonds[0].Validate(0); err != nil {
		t.Error(err)
	}
}

// endingTree is one whose kdamond ends after its state was read and before its thread is.
type endingTree struct {
	tree
	admin string
}

func (e endingTree) read(path string) (string, error) {
	text, err := e.tree.read(path)
	if filepath.Base(path) == "state" && strings.TrimSpace(text) == string(On) {
		for name, left := range map[string]string{"state": string(Off), "pid": "-1"} {
			err = errors.Join(err, os.WriteFile(filepath.Join(e.admin, "kdamonds/0", name), []byte(left+"\n"), 0))
		}
	}
	return text, err
}

// A kdamond that ends while it is read is not told of as one that runs without a thread.
func TestEndingWhileRead(t *testing.T) {
	f := fake(t, &Interface{Kdamonds: []Kdamond{{State: On, PID: 7, Contexts: []Context{}}}})
	f.tree = endingTree{f.tree, f.Admin()}
	in, err := f.Read()
	if err != nil || in.Kdamonds[0].State != Off || in.Kdamonds[0].PID != -1 {
		t.Errorf("%+v, %v", in, err)
	}
}

// Any model comes back as it was written, with what only newer kernels have, and as JSON.
func TestRoundTrip(t *testing.T) {
	var in Interface
	n := 0
	fill(reflect.ValueOf(&in).Elem(), &n)
	for _, want := range []*Interface{&in, {Kdamonds: []Kdamond{}}, {Kdamonds: []Kdamond{{State: Off, PID: -1, Contexts: []Context{}}}}} {
		got, err := fake(t, want).Read()
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got.Kdamonds, want.Kdamonds) || len(got.Unknown) > 0 {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
		text, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		var back Interface
		if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(&back, got) {
			t.Errorf("%v: %s", err, text)
		}
	}
}

// Capabilities go by what is there; where no directory can tell, they are unknown.
func TestCapabilities(t *testing.T) {
	capability := func(in *Interface, file string) *bool {
		i := slices.IndexFunc(in.Capabilities, func(c Capability) bool { return c.File == file && c.Since != "" && c.Since != "?" })
		if i < 0 {
			t.Fatalf("no %s in %+v", file, in.Capabilities)
		}
		return in.Capabilities[i].Present
	}
	in, err := tree618(t).Read()
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]bool{
		"kdamonds/N/refresh_ms": true, "kdamonds/N/contexts/N/addr_unit": true, "kdamonds/N/contexts/N/pause": false,
		"kdamonds/N/contexts/N/schemes/N/dests": true, "kdamonds/N/contexts/N/schemes/N/quotas/goal_tuner": false,
		"kdamonds/N/contexts/N/targets/N/obsolete_target": false, "kdamonds/N/contexts/N/schemes/N/ops_filters/N/allow": true,
	} {
		if got := capability(in, file); got == nil || *got != want {
			t.Errorf("%s: want %v", file, want)
		}
	}
	if got := capability(in, "kdamonds/N/contexts/N/schemes/N/quotas/goals/N/nid"); got != nil {
		t.Errorf("there is no goal that could tell: %v", *got)
	}
}

// Each error names the file, and says which kind it is.
func TestErrors(t *testing.T) {
	const scheme = "kdamonds/0/contexts/0/schemes/0/"
	for _, c := range []struct {
		file, text string // no text: remove
		want       error
	}{
		{scheme + "quotas/ms", "", ErrIncomplete},
		{scheme + "quotas/ms", "-1", ErrMalformed},
		{scheme + "quotas/ms", "18446744073709551616", ErrMalformed},
		{scheme + "quotas/ms", "007", ErrMalformed},
		{scheme + "target_nid", "+1", ErrMalformed},
		{scheme + "ops_filters/0/allow", "yes", ErrMalformed},
		{scheme + "ops_filters/nr_filters", "3", ErrIncomplete},
		{scheme + "ops_filters/nr_filters", "1", ErrIncomplete},
		{"kdamonds/0/pid", strings.Repeat("1", fileMost), ErrMalformed},
	} {
		f := tree618(t)
		path := filepath.Join(f.Admin(), c.file)
		if c.text == "" {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		} else {
			writeFile(t, path, c.text)
		}
		_, err := f.Read()
		var of *Error
		if !errors.Is(err, c.want) || !errors.As(err, &of) || !strings.HasPrefix(path, of.File) {
			t.Errorf("%s %.20q: %v, want %v", c.file, c.text, err, c.want)
		}
	}
	if _, err := At(t.TempDir()).Read(); !errors.Is(err, ErrAbsent) {
		t.Errorf("nothing: %v", err)
	}
}

func TestDenied(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read all files")
	}
	f := tree618(t)
	if err := os.Chmod(filepath.Join(f.Admin(), "kdamonds/nr_kdamonds"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Read(); !errors.Is(err, ErrDenied) {
		t.Error(err)
	}
}

// What is not known is named, not lost.
func TestUnknownFiles(t *testing.T) {
	f := tree618(t)
	want := []string{"kdamonds/0/contexts/0/schemes/0/dests/hint", "kdamonds/0/contexts/0/schemes/0/quotas/new",
		"kdamonds/0/contexts/0/schemes/0/tried_regions/more", "other"}
	for _, name := range want {
		writeFile(t, filepath.Join(f.Admin(), name), "1")
	}
	in, err := f.Read()
	if err != nil {
		t.Fatal(err)
	}
	if slices.Sort(in.Unknown); !slices.Equal(in.Unknown, want) {
		t.Error(in.Unknown)
	}
}

func TestModules(t *testing.T) {
	f := At(t.TempDir())
	if m, err := f.Modules(); err != nil || m.Reclaim != nil || m.LRUSort != nil || m.Stat != nil {
		t.Errorf("%+v, %v", m, err)
	}
	for name, text := range map[string]string{
		"damon_reclaim/parameters/enabled": "Y", "damon_reclaim/parameters/kdamond_pid": "77", "damon_reclaim/parameters/min_age": "120000000",
		"damon_reclaim/parameters/skip_anon": "N", "damon_reclaim/parameters/what": "1",
		"damon_stat/parameters/enabled": "N", "damon_stat/parameters/memory_idle_ms_percentiles": "-5000,0,120",
	} {
		writeFile(t, filepath.Join(f.path("module"), name), text)
	}
	m, err := f.Modules()
	if err != nil {
		t.Fatal(err)
	}
	if m.LRUSort != nil || !m.Reclaim.Enabled || value(m.Reclaim.KdamondPID) != 77 || value(m.Reclaim.MinAge) != 120000000 || m.Reclaim.QuotaMS != nil ||
		m.Stat.Enabled || !slices.Equal(m.Stat.Idle, []int64{-5000, 0, 120}) || !slices.Equal(m.Unknown, []string{"damon_reclaim/parameters/what"}) {
		t.Errorf("%+v %+v %+v", m, m.Reclaim, m.Stat)
	}
}

// What a parser takes is written the same again.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "0", "Y", "-1", "18446744073709551615", "paddr\nvaddr", "-1,2", "/a\n", "00", ",", "\n"} {
		f.Add(text)
	}
	type all struct {
		B bool
		U uint64
		I int
		W Action
		L []Operations
		N []int64
	}
	f.Fuzz(func(t *testing.T, text string) {
		v := reflect.ValueOf(&all{}).Elem()
		for i := range v.NumField() {
			err := parse(text, v.Field(i))
			if err == nil && format(v.Field(i)) != strings.TrimRight(text, "\n") || err != nil && !errors.Is(err, ErrMalformed) {
				t.Errorf("%q as %s: %q, %v", text, v.Field(i).Type(), format(v.Field(i)), err)
			}
		}
	})
}

// The running kernel's tree is read whole, and left as it was. What the kernel itself counts
// may change meanwhile.
func TestLive(t *testing.T) {
	f := Default()
	before := liveContent(t, f)
	in, err := f.Read()
	if err != nil {
		t.Fatal(err)
	}
	if again := content(t, fake(t, in).Admin()); !maps.Equal(settled(again), settled(before)) {
		t.Errorf("read:\n%v\nthere is:\n%v", again, before)
	}
	if _, err := f.Modules(); err != nil {
		t.Error(err)
	}
	if after := content(t, f.Admin()); !maps.Equal(settled(after), settled(before)) {
		t.Errorf("before:\n%v\nafter:\n%v", before, after)
	}
}

func liveContent(t *testing.T, f FS) map[string]string {
	t.Helper()
	if _, err := f.Read(); errors.Is(err, ErrAbsent) || errors.Is(err, ErrDenied) {
		t.Skip(err)
	}
	return content(t, f.Admin())
}

// settled leaves out what the kernel changes by itself where refresh_ms is set.
func settled(files map[string]string) map[string]string {
	left := maps.Clone(files)
	for _, refresh := range slices.Sorted(maps.Keys(files)) {
		if filepath.Base(refresh) != "refresh_ms" || files[refresh] == "0" {
			continue
		}
		maps.DeleteFunc(left, func(name, _ string) bool {
			return strings.Contains(name, "/stats/") || strings.Contains(name, "/tried_regions/") || strings.HasSuffix(name, "effective_bytes") ||
				strings.HasSuffix(name, "sample_us") || strings.HasSuffix(name, "aggr_us")
		})
	}
	return left
}
