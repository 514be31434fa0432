package damon

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// planned is a kdamond for a process, and one for physical memory that pages out.
func planned() []Kdamond {
	virtual, physical := NewKdamond(VAddr), NewKdamond(PAddr)
	virtual.Contexts[0].Targets = []Target{{PID: os.Getpid()}}
	c := &physical.Contexts[0]
	c.Targets = []Target{{Regions: []AddrRegion{{4096, 1 << 30}, {1 << 32, 1 << 33}}}}
	s := NewScheme(PageOut)
	s.Pattern.Age.Min, s.Quotas = 12, Quotas{MS: 10, Bytes: 1 << 20, ResetMS: 1000}
	s.Filters = []Filter{{Type: FilterAnon, Matching: true}, {Type: FilterMemcg, Matching: true, Memcg: "/a"}}
	c.Schemes = []Scheme{s}
	return []Kdamond{virtual, physical}
}

func start(t *testing.T, c *Control, want []Kdamond) *Change {
	t.Helper()
	change, err := c.Start(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	return change
}

// What is started is there, and nothing is left to write; it is tuned while it runs, as the same
// threads; and what is stopped leaves nothing.
func TestStartTuneStop(t *testing.T) {
	for _, age := range []age{linux73, linux618, linux612} {
		f := newFake(age)
		c := f.control(t, Options{})
		started := start(t, c, planned())
		if left, err := Diff(started.Kdamonds, planned()); err != nil || len(left) > 0 {
			t.Errorf("left to write: %v, %v", left, err)
		}
		first := started.Kdamonds[0].PID
		tuned, err := c.Tune(t.Context(), func(now []Kdamond) ([]Kdamond, error) {
			now[0].Contexts[0].Attrs.Intervals.Aggr = 200_000
			now[1].Contexts[0].Schemes = append(now[1].Contexts[0].Schemes, NewScheme(Stat))
			return now, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := tuned.Kdamonds; got[0].PID != first || got[0].Contexts[0].Attrs.Intervals.Aggr != 200_000 || len(got[1].Contexts[0].Schemes) != 2 {
			t.Errorf("%+v", got)
		}
		if !strings.Contains(f.active[0], "aggr_us=200000") || !strings.Contains(f.active[1], "schemes/1/action=stat") {
			t.Errorf("the kdamonds were not told: %v", f.active)
		}
		if _, err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if files, active := f.everything(); !maps.Equal(files, newFake(linux73).files) || len(active) > 0 {
			t.Errorf("left: %v, %v", files, active)
		}
		if _, err := os.Stat(c.file()); !os.IsNotExist(err) {
			t.Errorf("the record: %v", err)
		}
	}
}

// What differs is written alone; what a number makes anew is written whole, behind it; and
// commands come last.
func TestDiffOrder(t *testing.T) {
	now, want := planned(), planned()
	now[0].PID, now[1].PID = 7, 8
	if writes, err := Diff(now, want); err != nil || len(writes) > 0 {
		t.Errorf("the same: %v, %v", writes, err)
	}
	want[0].RefreshMS, now[0].RefreshMS = new(uint64(5)), new(uint64(0))
	want[1].Contexts[0].Targets[0].Regions = want[1].Contexts[0].Targets[0].Regions[:1]
	writes, err := Diff(now, want)
	if err != nil {
		t.Fatal(err)
	}
	regions := "1/contexts/0/targets/0/regions/"
	if want := []Write{{File: "0/refresh_ms", From: "0", To: "5"}, {File: regions + "nr_regions", From: "2", To: "1"},
		{File: regions + "0/start", To: "4096", New: true}, {File: regions + "0/end", To: "1073741824", New: true},
		{File: "0/state", From: "on", To: "commit"}, {File: "1/state", From: "on", To: "commit"}}; !slices.Equal(writes, want) {
		t.Errorf("%+v, want %+v", writes, want)
	}
	want[0].State = Off
	if writes, err = Diff(now, want[:1]); err != nil || writes[0] != (Write{File: countFile, From: "2", To: "1"}) {
		t.Errorf("%+v, %v", writes, err)
	}
}

// A dry run writes nothing, and says what would be written.
func TestDryRun(t *testing.T) {
	f := newFake(linux73)
	c := f.control(t, Options{DryRun: true})
	dry := start(t, c, planned())
	if len(f.writes) > 0 || !dry.DryRun || len(dry.Kdamonds) > 0 {
		t.Errorf("%v, %+v", f.writes, dry)
	}
	if entries, err := os.ReadDir(c.dir); err != nil || len(entries) > 0 {
		t.Errorf("%v, %v", entries, err)
	}
	c.DryRun = false
	if wet := start(t, c, planned()); !reflect.DeepEqual(wet.Writes, dry.Writes) || len(f.writes) != len(dry.Writes) {
		t.Errorf("%v, %v", wet.Writes, dry.Writes)
	}
}

// What the kernel has no file for is said with the version that brings it, and nothing is
// left of the try.
func TestUnsupported(t *testing.T) {
	for since, change := range map[string]func(k *Kdamond){
		"6.17": func(k *Kdamond) { k.RefreshMS = new(uint64(5)) },
		"6.18": func(k *Kdamond) { k.Contexts[0].AddrUnit = new(uint64(8)) },
		"6.17 ": func(k *Kdamond) {
			s := NewScheme(MigrateCold)
			s.Dests = []Dest{{1, 1}}
			k.Contexts[0].Schemes = []Scheme{s}
		},
		"6.14": func(k *Kdamond) {
			s := NewScheme(Stat)
			s.Filters = []Filter{{Type: FilterAddr, Allow: new(true)}}
			k.Contexts[0].Schemes = []Scheme{s}
		},
		"6.15 ": func(k *Kdamond) { k.Contexts[0].Attrs.Intervals.Goal = &IntervalsGoal{Aggrs: 3, MaxSample: 9000} },
	} {
		f := newFake(linux612)
		c := f.control(t, Options{})
		want := []Kdamond{NewKdamond(PAddr)}
		change(&want[0])
		var of *Unsupported
		if _, err := c.Start(t.Context(), want); !errors.As(err, &of) || of.Since != strings.TrimSpace(since) {
			t.Errorf("%s: %v", since, err)
		}
		if !maps.Equal(f.files, newFake(linux73).files) {
			t.Errorf("%s: left %v", since, f.files)
		}
		start(t, c, []Kdamond{NewKdamond(PAddr)})
		n := len(f.writes)
		_, err := c.Tune(t.Context(), func(now []Kdamond) ([]Kdamond, error) { change(&now[0]); return now, nil })
		if !errors.As(err, &of) {
			t.Errorf("%s: %v", since, err)
		}
		if since == "6.17" && len(f.writes) != n {
			t.Errorf("it could be known before writing: %v", f.writes[n:])
		}
	}
}

// What a kernel does anyway is no wish for a file that it lacks: a set-up of a newer kernel
// that uses nothing new works on an older one.
func TestUsual(t *testing.T) {
	f := newFake(linux612)
	want := []Kdamond{NewKdamond(PAddr)}
	s := NewScheme(Stat)
	s.CoreFilters, s.OpsFilters, s.Dests = []Filter{}, []Filter{}, []Dest{}
	s.TargetNID, s.Filters = new(-1), []Filter{{Type: FilterAnon, Allow: new(false), Max: new(uint64(0))}}
	s.Quotas.GoalTuner, want[0].RefreshMS = new("consist"), new(uint64(0))
	want[0].Contexts[0].AddrUnit, want[0].Contexts[0].Attrs.Intervals.Goal = new(uint64(1)), &IntervalsGoal{}
	want[0].Contexts[0].Schemes = []Scheme{s}
	c := f.control(t, Options{})
	start(t, c, want)
	if _, err := c.Tune(t.Context(), func([]Kdamond) ([]Kdamond, error) { return want, nil }); err != nil {
		t.Error(err)
	}
}

// A kernel that has but one directory for filters gets all of them there, in their order.
func TestOlderFilters(t *testing.T) {
	f := newFake(linux612)
	c := f.control(t, Options{})
	filtered := func(list []Kdamond) ([]Kdamond, error) {
		s := &list[0].Contexts[0].Schemes[0]
		s.OpsFilters = []Filter{{Type: FilterAnon, Matching: true, Allow: new(false)}}
		s.CoreFilters = []Filter{{Type: FilterAddr, Matching: true, AddrStart: new(uint64(4096)), AddrEnd: new(uint64(8192))}}
		return list, nil
	}
	want := []Kdamond{NewKdamond(PAddr)}
	want[0].Contexts[0].Schemes = []Scheme{NewScheme(Stat)}
	start(t, c, want)
	tuned, err := c.Tune(t.Context(), filtered)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.writes = nil
	started := start(t, c, must(filtered(want)))
	for _, change := range []*Change{tuned, started} {
		got := change.Kdamonds[0].Contexts[0].Schemes[0].Filters
		if len(got) != 2 || got[0].Type != FilterAddr || value(got[0].AddrEnd) != 8192 || got[1].Type != FilterAnon || !got[1].Matching {
			t.Errorf("%+v", got)
		}
	}
	if len(started.Writes) != len(f.writes) {
		t.Errorf("%d writes are told, of %d", len(started.Writes), len(f.writes))
	}
	if _, err := c.Tune(t.Context(), func(now []Kdamond) ([]Kdamond, error) {
		now[0].Contexts[0].Schemes[0].OpsFilters = []Filter{{Type: FilterAnon, Allow: new(true)}}
		return now, nil
	}); err == nil || !strings.Contains(err.Error(), "allow") {
		t.Errorf("it can't allow: %v", err)
	}
}

func must[T any](v T, _ error) T { return v }

// Statistics are what was last asked for.
func TestRun(t *testing.T) {
	f := newFake(linux73)
	c := f.control(t, Options{})
	tried := func(list []Kdamond) uint64 { return list[1].Contexts[0].Schemes[0].Stats.Tried }
	started := start(t, c, planned())
	f.counts[1] = 9
	if now, err := f.at().Read(); err != nil || tried(now.Kdamonds) != 0 || tried(started.Kdamonds) != 0 {
		t.Fatalf("%+v, %v", now, err)
	}
	if now, err := c.Run(t.Context(), 1, UpdateStats); err != nil || tried(now) != 9 {
		t.Errorf("%+v, %v", now, err)
	}
	f.end(1)
	var of *Refused
	if _, err := c.Run(t.Context(), 1, UpdateStats); !errors.Is(err, syscall.ECANCELED) || !errors.As(err, &of) || of.File != "1/state" {
		t.Errorf("it has ended: %v", err)
	}
	for _, command := range []Command{TurnOn, TurnOff, Commit} {
		if _, err := c.Run(t.Context(), 0, command); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", command, err)
		}
	}
	if _, err := c.Run(t.Context(), 2, UpdateStats); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
}

// What can't be done is said before anything is written.
func TestRefusedBefore(t *testing.T) {
	f := newFake(linux73)
	c := f.control(t, Options{})
	if _, err := c.Stop(t.Context()); !errors.Is(err, ErrNone) {
		t.Errorf("stop: %v", err)
	}
	if _, err := c.Tune(t.Context(), nil); !errors.Is(err, ErrNone) {
		t.Errorf("tune: %v", err)
	}
	if _, err := c.Start(t.Context(), nil); !errors.Is(err, ErrNone) {
		t.Errorf("start: %v", err)
	}
	wrong := planned()
	wrong[1].Contexts[0].Attrs.Regions.Min = 2
	var of *Invalid
	if _, err := c.Start(t.Context(), wrong); !errors.As(err, &of) || of.File != "1/contexts/0/monitoring_attrs/nr_regions/min" {
		t.Errorf("start: %v", err)
	}
	if len(f.writes) > 0 {
		t.Errorf("written: %v", f.writes)
	}
	start(t, c, planned())
	n := len(f.writes)
	if _, err := c.Start(t.Context(), planned()); !errors.Is(err, ErrRunning) {
		t.Errorf("twice: %v", err)
	}
	if _, err := c.Tune(t.Context(), func(now []Kdamond) ([]Kdamond, error) { return now[:1], nil }); !errors.Is(err, ErrRunning) {
		t.Errorf("one less: %v", err)
	}
	gone := At(t.TempDir())
	if _, err := (&Control{gone, Options{}, c.ledger}).Start(t.Context(), planned()); !errors.Is(err, ErrAbsent) {
		t.Errorf("no DAMON: %v", err)
	}
	if len(f.writes) != n {
		t.Errorf("written: %v", f.writes[n:])
	}
}

// Beside a module nothing else may watch: the error names it.
func TestModuleWatches(t *testing.T) {
	f := newFake(linux73)
	f.module = "damon_stat"
	_, err := f.control(t, Options{}).Start(t.Context(), planned())
	var of *Refused
	if !errors.Is(err, syscall.EBUSY) || !errors.As(err, &of) || !slices.Equal(of.Modules, []string{"damon_stat"}) {
		t.Errorf("%v", err)
	}
	if !maps.Equal(f.files, newFake(linux73).files) {
		t.Errorf("left: %v", f.files)
	}
}

// One that ends by itself before it is turned off is off.
func TestStopEnded(t *testing.T) {
	f := newFake(linux618)
	c := f.control(t, Options{})
	start(t, c, planned())
	f.refuses = func(file string) error {
		if file == "0/state" {
			f.end(0)
		}
		return nil // EPERM, as the kernel says then
	}
	if _, err := c.Stop(t.Context()); err != nil || f.files["nr_kdamonds"] != "0" {
		t.Errorf("%v, %v", err, f.files)
	}
}

// What can't be turned off is still ours, and can be tried again.
func TestStopFails(t *testing.T) {
	f := newFake(linux73)
	c := f.control(t, Options{})
	start(t, c, planned())
	f.refuses = func(file string) error {
		if file == "1/state" {
			return syscall.EIO
		}
		return nil
	}
	if _, err := c.Stop(t.Context()); !errors.Is(err, syscall.EIO) || len(f.active) != 1 {
		t.Errorf("%v, %v", err, f.active)
	}
	f.refuses = nil
	if _, err := c.Stop(t.Context()); err != nil || len(f.active) > 0 {
		t.Error(err)
	}
}

// Copies share nothing.
func TestDeepCopy(t *testing.T) {
	filled := func() []Kdamond {
		var in Interface
		fill(reflect.ValueOf(&in).Elem(), new(int))
		return in.Kdamonds
	}
	from := filled()
	to := deepCopy(from)
	if !reflect.DeepEqual(to, from) {
		t.Errorf("%+v", to)
	}
	*to[0].RefreshMS, to[0].Contexts[0].Schemes[0].Filters[0].Memcg, *to[1].Contexts[1].Schemes[1].Filters[1].Allow = 1, "", true
	if !reflect.DeepEqual(from, filled()) {
		t.Error("a change of the copy is one of the original")
	}
	if deepCopy(nil) != nil {
		t.Error("of nothing")
	}
}

// A file that is busy for a moment is waited for; one that stays busy is not waited for for
// ever.
func TestPatience(t *testing.T) {
	tries, never := 0, func() bool { return false }
	busy := &os.PathError{Op: "open", Path: "state", Err: syscall.EBUSY}
	err := FS{patience: time.Minute}.patiently(func() error {
		if tries++; tries < 3 {
			return busy
		}
		return nil
	}, never)
	if err != nil || tries != 3 {
		t.Errorf("%v after %d tries", err, tries)
	}
	if err := (FS{patience: 20 * time.Millisecond}).patiently(func() error { return busy }, never); err != busy {
		t.Error(err)
	}
	tries = 0
	err = FS{patience: time.Hour}.patiently(func() error { tries++; return busy }, func() bool { return true })
	if err != busy || tries != 1 {
		t.Errorf("%v after %d tries of what will not change", err, tries)
	}
}

// The kernel's tree takes what is written into files that are there, and makes none.
func TestSysfsWrite(t *testing.T) {
	f := tree618(t)
	file := filepath.Join(f.kdamonds(), "0/contexts/0/schemes/0/quotas/ms")
	if err := f.tree.write(file, "51"); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "51\n" {
		t.Errorf("%q, %v", text, err)
	}
	var of *Unsupported
	if err := f.write(Write{File: "0/contexts/0/pause", To: "Y"}); !errors.As(err, &of) || of.Since != "after 7.1" {
		t.Error(err)
	}
	if err := f.write(Write{File: "0/other", To: "Y"}); !errors.Is(err, ErrAbsent) {
		t.Error(err)
	}
}
