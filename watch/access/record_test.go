package access

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/damon"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/tracefs"
	"github.com/safevma/safevma/watch/recording"
)

// content is what all files below a directory say.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			text, err := os.ReadFile(path)
			files[path] = fmt.Sprint(string(text), err)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// settled leaves out what the kernel itself changes where refresh_ms is above 0: statistics,
// tried regions, effective quotas and tuned intervals.
func settled(files map[string]string) map[string]string {
	refreshed := false
	for name, text := range files {
		refreshed = refreshed || filepath.Base(name) == "refresh_ms" && !strings.HasPrefix(text, "0")
	}
	left := maps.Clone(files)
	maps.DeleteFunc(left, func(name, _ string) bool {
		return refreshed && (strings.Contains(name, "/stats/") || strings.Contains(name, "/tried_regions/") || strings.HasSuffix(name, "effective_bytes") ||
			strings.HasSuffix(name, "sample_us") || strings.HasSuffix(name, "aggr_us"))
	})
	return left
}

// instances are all of tracefs that there are now.
func instances(t *testing.T) (names []string) {
	t.Helper()
	dir := "/sys/kernel/tracing/instances"
	if _, err := os.Stat(dir); err != nil {
		mount, err := sys.DetachedMount("tracefs")
		if err != nil {
			t.Fatal(err)
		}
		defer mount.Close()
		dir = fmt.Sprintf("/proc/self/fd/%d/instances", mount.Fd())
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "safevma-") && strings.Contains(e.Name(), fmt.Sprintf("-%d-", os.Getpid())) {
			names = append(names, e.Name())
		}
	}
	return names
}

// The kdamonds of this host are recorded, and left as they were: the tree of sysfs is the
// same to the byte but for what the kernel changes itself, and no instance is left.
func TestRecordLive(t *testing.T) {
	status, err := damon.Default().Status(process.Default())
	if err != nil || len(status.Threads) == 0 {
		t.Skipf("no kdamond runs here, or it can't be seen: %v", err)
	}
	const tree = "/sys/kernel/mm/damon"
	before := content(t, tree)
	name := filepath.Join(t.TempDir(), "live")
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	during := 0
	p, err := Record(ctx, RecordOptions{Name: name, Program: "test", Progress: func(p Progress) {
		during = max(during, len(instances(t)))
		if p.Snapshots >= 2 {
			stop()
		}
	}})
	if errors.Is(err, tracefs.ErrAbsent) || errors.Is(err, tracefs.ErrDenied) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	after := content(t, tree)
	if len(before) == 0 || !maps.Equal(settled(before), settled(after)) {
		t.Errorf("before:\n%v\nafter:\n%v", before, after)
	}
	if left := instances(t); len(left) > 0 || during != 1 {
		t.Errorf("left: %v; %d during", left, during)
	}
	if p.Snapshots == 0 {
		t.Skip("no kdamond told anything for a minute")
	}
	checkLive(t, name, p, status)
}

// checkLive reads what was recorded.
func checkLive(t *testing.T, name string, p Progress, status *damon.Status) {
	t.Helper()
	f, err := recording.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	threads := map[int]bool{}
	for _, thread := range status.Threads {
		threads[thread.PID] = true
	}
	var snapshots, footprints uint64
	var first, last recording.Entry
	err = f.Each(func(e recording.Entry) error {
		if first == nil {
			first = e
		}
		last = e
		switch e := e.(type) {
		case *recording.Snapshot:
			snapshots++
			if !threads[e.Thread] {
				t.Errorf("thread %d is no kdamond", e.Thread)
			}
		case *recording.Footprint:
			footprints++
		case *recording.Setup:
			if len(e.Contexts) == 0 && status.Interface != nil && len(status.Interface.Kdamonds) > 0 {
				t.Error("no context is named")
			}
		}
		return nil
	})
	start, ok1 := first.(*recording.Start)
	end, ok2 := last.(*recording.End)
	if err != nil || f.Damage != nil || snapshots != p.Snapshots || footprints == 0 || !ok1 || !ok2 || start.Kernel == "" || end.Snapshots != snapshots {
		t.Errorf("%v, %v: %d snapshots of %d, %d footprints, %+v, %+v", err, f.Damage, snapshots, p.Snapshots, footprints, first, last)
	}
}

// Where nothing can be recorded no file is made.
func TestRecordDenied(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may trace")
	}
	name := filepath.Join(t.TempDir(), "denied")
	if _, err := Record(t.Context(), RecordOptions{Name: name}); !errors.Is(err, tracefs.ErrDenied) {
		t.Error(err)
	}
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// deaf makes a recorder that hears what the test tells.
func deaf(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{options: RecordOptions{Name: filepath.Join(t.TempDir(), "r")}, damon: damon.At(t.TempDir()), setup: &recording.Setup{}}
	var err error
	r.decoder, err = damon.NewDecoder(func(system, event string) (*tracefs.Format, error) {
		if event != "damon_aggregated" {
			return nil, tracefs.ErrAbsent
		}
		text := "name: damon_aggregated\nID: 5\nfield:int common_pid; offset:4; size:4; signed:1;\n"
		for i, name := range []string{"target_id", "nr_regions", "start", "end", "nr_accesses", "age"} {
			text += fmt.Sprintf("field:long %s; offset:%d; size:8; signed:0;\n", name, 8+8*i)
		}
		return tracefs.ParseFormat(strings.NewReader(text))
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.file, err = recording.NewRotating(r.options.Name, 0, r.beginFile); err != nil {
		t.Fatal(err)
	}
	return r
}

func told(time uint64, values ...uint64) tracefs.Event {
	data := binary.LittleEndian.AppendUint32([]byte{5, 0, 0, 0}, 7)
	for _, v := range values {
		data = binary.LittleEndian.AppendUint64(data, v)
	}
	return tracefs.Event{Time: time, CPU: 3, Type: 5, Data: data}
}

// Lost events are written where they are missing, and what they were missing of is not
// whole; the control is the snapshot after.
func TestRecordLost(t *testing.T) {
	r := deaf(t)
	behind := told(30, 0, 2, 2, 3, 3, 4) // it would make the one before whole
	behind.Missed = tracefs.Missed{Some: true, Events: 9}
	for _, e := range []tracefs.Event{told(10, 0, 2, 1, 2, 3, 4), behind, told(50, 0, 2, 1, 2, 3, 4), told(51, 0, 2, 2, 3, 3, 4)} {
		if err := r.event(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.file.Close(r.end("test")); err != nil {
		t.Fatal(err)
	}
	f, err := recording.Open(r.options.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got []string
	if err := f.Each(func(e recording.Entry) error {
		switch e := e.(type) {
		case *recording.Snapshot:
			got = append(got, fmt.Sprintf("snapshot whole %v", e.Whole()))
		case *recording.Lost:
			got = append(got, fmt.Sprintf("lost %d on %d at %d", e.Events, e.CPU, e.Time))
		}
		return nil
	}); err != nil || f.Damage != nil {
		t.Fatal(err, f.Damage)
	}
	if want := "lost 9 on 3 at 30, snapshot whole false, snapshot whole false, snapshot whole true"; strings.Join(got, ", ") != want {
		t.Errorf("%s, want %s", strings.Join(got, ", "), want)
	}
	if r.count.Partial != 2 || r.count.Snapshots != 3 {
		t.Errorf("%+v", r.count)
	}
}

// How long an aggregation takes follows what the kernel has tuned, as long as it is known at all.
func TestInterval(t *testing.T) {
	r := deaf(t)
	r.setup.Contexts = []recording.Context{{Thread: 7, Intervals: damon.Intervals{Sample: 5000, Aggr: 100_000}}, {Thread: 8}}
	check := func(thread int, want int64) {
		t.Helper()
		if got := r.interval(thread); got != want {
			t.Errorf("thread %d: %d, want %d", thread, got, want)
		}
	}
	check(7, 100_000_000)
	r.tuned = map[int]*recording.Tuned{7: {IntervalsTuned: damon.IntervalsTuned{Sample: 10_000}}, 8: {}}
	check(7, 200_000_000)
	check(8, 0)
	check(9, 0)
}

// A kdamond that begins while it is recorded is looked at before what it tells is written.
func TestRecordNewKdamond(t *testing.T) {
	r := deaf(t)
	for name, text := range map[string]string{"nr_kdamonds": "1", "0/state": "on", "0/pid": "7", "0/contexts/nr_contexts": "0"} {
		path := filepath.Join(r.damon.Admin(), "kdamonds", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text+"\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.event(told(10, 0, 1, 1, 2, 3, 4)); err != nil {
		t.Fatal(err)
	}
	if r.setupText != "[]" {
		t.Errorf("not looked at: %q", r.setupText)
	}
}

// A file that follows on another begins with the intervals that the kernel has tuned.
func TestRecordTurn(t *testing.T) {
	r := deaf(t)
	r.tuned = map[int]*recording.Tuned{7: {IntervalsTuned: damon.IntervalsTuned{Origin: damon.Origin{Time: 5, Thread: 7}, Sample: 9000}}}
	r.file.Most = 1
	if turned, err := r.file.Turn(r.end("full")); err != nil || !turned {
		t.Fatal(turned, err)
	}
	if err := r.file.Close(r.end("test")); err != nil {
		t.Fatal(err)
	}
	f, err := recording.Open(r.options.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got []uint64
	if err := f.Each(func(e recording.Entry) error {
		if tuned, ok := e.(*recording.Tuned); ok {
			got = append(got, tuned.Sample)
		}
		return nil
	}); err != nil || len(got) != 1 || got[0] != 9000 {
		t.Errorf("%v, %v", got, err)
	}
}

// Where the file can't be made, the error says so, and no instance is left. With a limit,
// neither may the one be there that it becomes.
func TestRecordExists(t *testing.T) {
	name := filepath.Join(t.TempDir(), "r")
	if err := os.WriteFile(name+".1", []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, o := range []RecordOptions{{Name: name, Most: 1 << 20}, {Name: name + ".1"}} {
		_, err := Record(t.Context(), o)
		if errors.Is(err, tracefs.ErrAbsent) || errors.Is(err, tracefs.ErrDenied) {
			t.Skip(err)
		}
		if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), name+".1") {
			t.Errorf("%+v: %v", o, err)
		}
		if left := instances(t); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
	if text, err := os.ReadFile(name + ".1"); err != nil || string(text) != "kept" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
