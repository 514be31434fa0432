package audit_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/safevma/safevma/audit"
	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/offender/offendertest"
	"github.com/safevma/safevma/kernel/host"
	"github.com/safevma/safevma/kernel/process"
)

var testTool = guarantee.Tool{Name: "test", Version: "0"}

func pidSelector(t testing.TB, pid int) audit.Selector {
	t.Helper()
	s, err := audit.ParseSelector(fmt.Sprintf("pid=%d", pid))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// proc makes a copy of a proc file system, of files by their paths.
func proc(t *testing.T, files map[string]string) process.FS {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return process.At(root)
}

// one makes the files of a process.
func one(pid int, smaps string) map[string]string {
	dir := strconv.Itoa(pid) + "/"
	return map[string]string{
		dir + "stat":          fmt.Sprintf("%d (copied) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 1000 2 0 0 0\n", pid),
		dir + "status":        "Name:\tcopied\nUid:\t1\t1\t1\t1\nGid:\t1\t1\t1\t1\nThreads:\t1\nVmLck:\t0 kB\n",
		dir + "smaps":         smaps,
		dir + "oom_score_adj": "0\n",
		dir + "cgroup":        "0::/\n",
	}
}

func record(header, fields, flags string) string {
	return header + "\n" + fields + "VmFlags: " + flags + "\n"
}

var (
	clean = record("1000-2000 rw-p 00000000 00:00 0", "Size: 4 kB\nRss: 4 kB\n", "rd wr mr mw me ac")
	wx    = record("3000-4000 rwxp 00000000 00:00 0", "Size: 4 kB\nRss: 4 kB\n", "rd wr ex mr mw me ac")
)

func auditCopy(t *testing.T, fs process.FS) *guarantee.Report {
	t.Helper()
	report, err := audit.Run(context.Background(), audit.Config{Proc: fs, Host: host.New(fs.Root(), fs.Root()), Rules: packs(t), Tool: testTool})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// In a copy of /proc a finding is a finding, but nothing holds: no control can be run.
func TestCopy(t *testing.T) {
	report := auditCopy(t, proc(t, one(7, clean+wx)))
	if report.Summary.Holds != 0 {
		t.Errorf("%d verdicts hold without a control", report.Summary.Holds)
	}
	found := slices.DeleteFunc(slices.Clone(report.Verdicts), func(v guarantee.Verdict) bool { return v.Rule != "wx-mapping" })
	if len(found) != 1 || found[0].Status != guarantee.Broken || !strings.HasPrefix(found[0].Observation.Raw[0], "3000-4000 rwxp") || found[0].Control.Status != guarantee.ControlAbsent {
		t.Errorf("%+v", found)
	}
	if c := report.Summary.Coverage; c.Processes != 1 || c.VMAs != 2 {
		t.Errorf("%+v", c)
	}
}

// A /proc that lies gives unknown: never a pass, never a finding, never a panic.
func TestLies(t *testing.T) {
	stat := one(7, "")["7/stat"]
	tests := map[string]map[string]string{
		"permissions against flags": one(7, clean+record("3000-4000 r--p 00000000 00:00 0", "Rss: 0 kB\n", "rd wr ex")),
		"no flags":                  one(7, "1000-2000 rwxp 00000000 00:00 0\nRss: 0 kB\n"),
		"cut off":                   one(7, clean+wx[:len(wx)-3]),
		"addresses go back":         one(7, wx+clean),
		"more than there is":        one(7, record("1000-2000 rw-p 00000000 00:00 0", "Rss: 400 kB\n", "rd wr")),
		"not numbers":               one(7, record("1000-2000 rw-p 00000000 00:00 0", "Rss: -4 kB\n", "rd wr")),
		"garbage":                   one(7, "\x00\xff garbage\n"),
		"empty":                     one(7, ""),
		"no smaps":                  {"7/stat": stat, "7/status": "Threads:\t1\n"},
		"no status":                 {"7/stat": stat, "7/smaps": wx},
		"stat makes no sense":       {"7/stat": "7 copied S", "7/status": "Threads:\t1\n", "7/smaps": wx},
		"status makes no sense":     {"7/stat": stat, "7/status": "Threads\n", "7/smaps": wx},
	}
	for name, files := range tests {
		t.Run(name, func(t *testing.T) {
			report := auditCopy(t, proc(t, files))
			for _, v := range report.Verdicts {
				if v.Status == guarantee.Holds || v.Status == guarantee.Broken && v.Subject.Kind == guarantee.KindProcess && strings.HasSuffix(v.Observation.Source, "smaps") {
					t.Errorf("%s on %s %d of rule %s: %s", v.Status, v.Subject.Kind, v.Subject.PID, v.Rule, v.Message)
				}
			}
			if c := report.Summary.Coverage; c.Processes != 0 || len(c.Gone)+len(c.Failed)+len(c.Denied) != 1 {
				t.Errorf("the process counts as read: %+v", c)
			}
		})
	}
}

// Another user's processes are unknown to an ordinary user, not clean.
func TestDenied(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root sees the processes of others; make test-user runs this")
	}
	report, err := audit.Run(context.Background(), audit.Config{Rules: packs(t), Tool: testTool})
	if err != nil {
		t.Fatal(err)
	}
	denied := report.Summary.Coverage.Denied
	if len(denied) == 0 {
		t.Skip("all processes that are visible belong to this user")
	}
	for _, v := range report.Verdicts {
		if v.Subject.PID == denied[0].PID && v.Status != guarantee.Unknown {
			t.Errorf("%s of a process that can't be read %s: %s", v.Rule, v.Status, v.Message)
		}
		if v.Rule == "inode-written-and-executed" && v.Status == guarantee.Holds {
			t.Errorf("holds in all processes, with %d unread: %s", len(denied), v.Message)
		}
	}
}

// Processes come and go while the host is audited: each is whole, or said to be gone.
func TestRestlessHost(t *testing.T) {
	fork := offendertest.Start(t, "restless-fork")
	exec := offendertest.Start(t, "restless-exec")
	changing := offendertest.Start(t, "restless")
	for range 5 {
		report, err := audit.Run(context.Background(), audit.Config{Rules: packs(t), Tool: testTool,
			Scope: []audit.Selector{pidSelector(t, fork.PID), pidSelector(t, exec.PID), pidSelector(t, changing.PID)}})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range report.Summary.Coverage.Failed { // only what executes without end may be read in vain
			if m.PID == fork.PID || m.PID == changing.PID {
				t.Errorf("a process that made no sense: %+v", m)
			}
		}
		for _, m := range report.Summary.Coverage.Gone {
			if slices.Contains([]int{fork.PID, exec.PID, changing.PID}, m.PID) {
				t.Errorf("a process that lives is said to be gone: %+v", m)
			}
		}
		for _, pid := range []int{fork.PID, exec.PID, changing.PID} {
			if !slices.ContainsFunc(report.Verdicts, func(v guarantee.Verdict) bool { return v.Subject.PID == pid && v.Rule == "wx-mapping" }) {
				t.Errorf("no verdict about process %d", pid)
			}
		}
		for _, v := range report.Verdicts {
			if v.Subject.PID == changing.PID && v.Rule == "wx-mapping" && v.Status != guarantee.Holds {
				t.Errorf("%s: %s %q", v.Status, v.Message, v.Observation.Raw)
			}
		}
	}
}

// What the user named and is not there is said, also where something else is.
func TestSelectorOfNobody(t *testing.T) {
	o := offendertest.Start(t, "wx-twin")
	missing := pidSelector(t, 1<<22)
	brake, err := audit.ParseSelector("exe=/usr/sbin/brake")
	if err != nil {
		t.Fatal(err)
	}
	report, err := audit.Run(context.Background(), audit.Config{Rules: packs(t), Tool: testTool,
		Scope: []audit.Selector{pidSelector(t, o.PID), missing}, Declared: []audit.Selector{pidSelector(t, o.PID), brake}})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []audit.Selector{missing, brake} {
		if !slices.ContainsFunc(report.Verdicts, func(v guarantee.Verdict) bool {
			return v.Status == guarantee.Unknown && strings.Contains(v.Message, "no process was looked at that is "+s.String())
		}) {
			t.Errorf("nothing is said of %s", s)
		}
	}
}

// No rules, no audit: an empty set would find everything in order.
func TestNothingToAudit(t *testing.T) {
	if _, err := audit.Run(context.Background(), audit.Config{Tool: testTool}); !errors.Is(err, audit.ErrNothingToAudit) {
		t.Errorf("error %v", err)
	}
}

// One verdict for each rule and each process, none twice.
func TestVerdictsAreUnique(t *testing.T) {
	o := offendertest.Start(t, "wx")
	report := auditOf(t, packs(t), o, true)
	seen := map[string]bool{}
	for _, v := range report.Verdicts {
		key := fmt.Sprint(v.Rule, v.Subject.Kind, v.Subject.PID, v.Subject.Device, v.Subject.Inode)
		if seen[key] {
			t.Errorf("twice: %s on %s %s", v.Rule, v.Subject.Kind, v.Subject.Name)
		}
		seen[key] = true
	}
	for _, r := range packs(t) {
		if !slices.ContainsFunc(report.Verdicts, func(v guarantee.Verdict) bool { return v.Rule == r.ID }) {
			t.Errorf("rule %s has no verdict at all", r.ID)
		}
	}
}

// A scope that nobody is in was not audited.
func TestEmptyScope(t *testing.T) {
	report, err := audit.Run(context.Background(), audit.Config{Rules: packs(t), Scope: []audit.Selector{pidSelector(t, 1<<22)}, Tool: testTool})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range report.Verdicts {
		if v.Rule == "wx-mapping" && v.Status != guarantee.Unknown {
			t.Errorf("%s: %s", v.Status, v.Message)
		}
	}
}

func TestParseSelector(t *testing.T) {
	info := process.Info{PID: 7, EUID: 5, Comm: "brake", Exe: "/usr/sbin/brake (deleted)", Cgroup: "/safety/brake"}
	for text, want := range map[string]bool{
		"pid=7": true, "pid=70": false, "uid=5": true, "uid=0": false, "name=brake": true, "name=br*": true, "name=b": false,
		"exe=/usr/sbin/brake": true, "exe=/usr/*/brake": true, "exe=brake": false,
		"cgroup=/safety": true, "cgroup=safety/brake/": true, "cgroup=/saf": false, "cgroup=/": true,
	} {
		s, err := audit.ParseSelector(text)
		if err != nil || s.Selects(&info) != want {
			t.Errorf("%s: %v, %v; want %v", text, s.Selects(&info), err, want)
		}
	}
	for _, text := range []string{"", "pid", "pid=", "pid=x", "pid=-1", "color=red", "name=[", "uid=4294967296"} {
		if s, err := audit.ParseSelector(text); err == nil {
			t.Errorf("%q is taken for %v", text, s)
		}
	}
}
