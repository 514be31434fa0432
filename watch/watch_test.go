package watch

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/safevma/safevma/kernel/psi"
)

const (
	idle    = "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
	stalled = "some avg10=12.50 avg60=1.00 avg300=0.00 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"
)

// tree makes a proc file system, a hierarchy of version 2 and one of version 1 with memory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	proc := filepath.Join(root, "proc")
	files["proc/self/mountinfo"] = "31 25 0:27 / " + root + "/two rw - cgroup2 cgroup2 rw\n32 25 0:28 / " + root + "/one rw - cgroup cgroup rw,memory\n"
	files["proc/self/cgroup"] = "4:memory:/\n0::/\n"
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return proc
}

func TestReadPressure(t *testing.T) {
	proc := tree(t, map[string]string{
		"proc/pressure/memory": stalled, "proc/pressure/io": "nonsense\n", "proc/pressure/cpu": idle, "proc/pressure/irq": "full avg10=0.00 avg60=0.00 avg300=0.00 total=9\n",
		"two/memory.pressure": idle, "two/quiet/memory.pressure": idle, "two/busy/memory.pressure": stalled, "two/plain/cgroup.procs": "",
		"one/limited/memory.usage_in_bytes": "4096\n", "one/limited/memory.failcnt": "3\n", "one/limited/memory.limit_in_bytes": "8192\n",
	})
	p, err := ReadPressure(proc, "")
	if err != nil || p.Unseen != "" {
		t.Fatal(err, p.Unseen)
	}
	if r := p.Host[0]; r.Resource != psi.Memory || r.Pressure == nil || r.Pressure.Some.Avg10 != 12.5 {
		t.Errorf("%+v", r)
	}
	if r := p.Host[1]; r.Pressure != nil || !strings.Contains(r.Unknown, "nonsense") {
		t.Errorf("a file that makes no sense: %+v", r)
	}
	if r := p.Host[3]; r.Pressure == nil || r.Pressure.HasSome || r.Pressure.Full.Total != 9*time.Microsecond {
		t.Errorf("interrupts: %+v", r)
	}
	var shown []string
	for i := range p.Groups {
		if g := &p.Groups[i]; !g.Quiet() {
			shown = append(shown, g.Path)
		}
	}
	if !slices.Equal(shown, []string{"/busy", "/limited"}) || len(p.Groups) != 4 {
		t.Errorf("of %d groups %q had to do with pressure", len(p.Groups), shown)
	}
	if p, err := ReadPressure(proc, "/limited"); err != nil || len(p.Groups) != 1 || *p.Groups[0].Events.Max != 3 {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := ReadPressure(proc, "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	b, err := json.Marshal(p)
	if err != nil || !strings.Contains(string(b), `"total_us":2500000`) {
		t.Errorf("%s, %v", b, err)
	}
}

// Without any counting there is a reason for everything, and no error.
func TestNothingCounts(t *testing.T) {
	p, err := ReadPressure(t.TempDir(), "")
	if err != nil || p.Unseen == "" {
		t.Fatal(err)
	}
	for _, r := range p.Host {
		if r.Pressure != nil || r.Unknown == "" {
			t.Errorf("%+v", r)
		}
	}
}

// On the real file: the trigger is armed, the end comes when the time is over, and what is
// told in between is counted in it.
func TestWatch(t *testing.T) {
	const path = "/proc/pressure/memory"
	if _, err := psi.Read(path); err != nil {
		t.Skip(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer stop()
	var all []Event
	confirmed, err := Watch(ctx, []Target{{"memory", path}}, psi.Spec{Kind: psi.Full, Stall: 1900 * time.Millisecond, Window: 2 * time.Second}, func(e Event) error {
		all = append(all, e)
		return nil
	})
	if errors.Is(err, fs.ErrPermission) {
		t.Skip(err)
	}
	if err != nil || len(all) < 2 || all[0].Kind != Armed || all[0].Trigger != "full 1.9s/2s" {
		t.Fatalf("%+v, %v", all, err)
	}
	if last := all[len(all)-1]; last.Kind != Finished || last.Confirmed != confirmed || last.Confirmed+last.Unconfirmed != len(all)-2 {
		t.Errorf("%+v of %d events", last, len(all))
	}
	stopped := errors.New("enough")
	if _, err := Watch(context.Background(), []Target{{"memory", path}}, psi.Spec{Kind: psi.Full, Stall: time.Second, Window: 2 * time.Second}, func(Event) error { return stopped }); !errors.Is(err, stopped) {
		t.Error(err)
	}
	var target *TargetError
	if _, err := Watch(context.Background(), []Target{{"none", t.TempDir() + "/none"}}, psi.Spec{Kind: psi.Some, Stall: time.Second, Window: 2 * time.Second}, func(Event) error { return nil }); !errors.As(err, &target) || !errors.Is(err, psi.ErrAbsent) {
		t.Error(err)
	}
}
