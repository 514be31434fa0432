package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/safevma/safevma/guarantee"
)

func TestMain(m *testing.M) {
	if Asked() {
		os.Exit(Serve(os.Stdin, os.Stdout))
	}
	// The race detector sleeps for a second at the end of each process, of which there are
	// hundreds here.
	os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0")
	os.Exit(m.Run())
}

func runAll(t *testing.T, c Config) *Report {
	t.Helper()
	r, err := Run(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Each probe says what it is, and what it says can be looked up.
func TestCatalogue(t *testing.T) {
	all := Catalogue()
	if len(all) < 80 {
		t.Errorf("%d probes, want 80 at least", len(all))
	}
	ids := map[string]bool{}
	for _, p := range all {
		if ids[p.ID] {
			t.Errorf("%s is there twice", p.ID)
		}
		ids[p.ID] = true
		if p.Claim == "" || p.Source == "" || p.Experiment == "" || p.Control == "" || p.Oracle == "" || p.run == nil || !slices.Contains(Subjects(),
			p.Subject) {
			t.Errorf("%s lacks something: %+v", p.ID, p)
		}
		if _, ok := guarantee.Find(p.Requirement); p.Requirement != "" && !ok {
			t.Errorf("%s: there is no requirement %s", p.ID, p.Requirement)
		}
		if p.Needs.SecretPages > SecretPages {
			t.Errorf("%s wants %d secret pages", p.ID, p.Needs.SecretPages)
		}
		if p.Subject == Secret && p.Needs.SecretPages == 0 {
			t.Errorf("%s is about secret memory, and declares none", p.ID)
		}
	}
	for id := range differences {
		if !ids[id] {
			t.Errorf("a difference of %s, which there is not", id)
		}
	}
}

// The rows of the ledger of documents against code that the project began with.
func TestLedgerRows(t *testing.T) {
	for _, row := range []string{"SM-COPY", "SM-KERN", "SM-CLOEXEC", "SM-GUP", "SM-LOCK", "SM-FORK", "SM-LIMIT", "NX-2",
		"NX-MAP", "NX-NS",
		"SEAL-CONTENT", "SEAL-LOCK", "MDWE-DUAL", "LOCK-FAIL", "DROP-LOCK", "GUARD-LOCK", "PKEY-NONE", "COMMIT", "PSI-UNPRIV", "PSI-READ", "ALLOC-USAGE"} {
		if !slices.ContainsFunc(Catalogue(), func(p Probe) bool { return p.Row == row }) {
			t.Errorf("no probe is of row %s", row)
		}
	}
}

// What a run leaves of the host is what it found, and its verdicts are ones that may be
// reported.
func TestNothingIsLeft(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var probes []Probe
	if testing.Short() {
		for i, p := range Catalogue() {
			if i%4 == 0 && p.limit() == DefaultLimit || p.Needs.Folder && !p.Needs.Alone && p.Needs.Cgroup == 0 || p.ID == "oom-limit" {
				probes = append(probes, p)
			}
		}
	}
	before := look(t)
	report := runAll(t, Config{Probes: probes})
	after := look(t)
	for what, b := range before {
		if a := after[what]; a != b {
			t.Errorf("%s before:\n%s\nafter:\n%s", what, b, a)
		}
	}
	for _, p := range report.Probes {
		if p.Verdict != nil {
			if err := p.Verdict.Validate(); err != nil {
				t.Error(err)
			}
		}
		if p.Outcome == Unknown && (p.Reason.Why == Crashed || p.Reason.Why == Hung || p.Reason.Why == Failed) {
			t.Errorf("%s: %+v", p.ID, p.Reason)
		}
		p := p
		if declared, _ := Find(p.ID); p.SecretPages > declared.Needs.SecretPages {
			t.Errorf("%s had %d secret pages, and declared %d", p.ID, p.SecretPages, declared.Needs.SecretPages)
		}
	}
	if f := report.Footprint; f.SecretPages > SecretPages {
		t.Errorf("%d secret pages at once", f.SecretPages)
	}
	t.Logf("%+v in %v", report.Summary, report.Window.To.Sub(report.Window.From))
}

// look is what a run may not change.
func look(t *testing.T) map[string]string {
	t.Helper()
	seen := map[string]string{
		"mounts":  read(t, "/proc/self/mountinfo"),
		"sysctls": sysctls(),
		"files":   names(os.TempDir(), "*") + names("/dev/shm", prefix+"*"),
		"cgroups": named("/sys/fs/cgroup", prefix),
		"limits":  read(t, "/proc/self/limits"),
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	seen["descriptors"] = fmt.Sprint(len(entries))
	seen["children"] = children()
	return seen
}

func read(t *testing.T, path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func names(dir, pattern string) string {
	found, _ := filepath.Glob(filepath.Join(dir, pattern))
	return strings.Join(found, "\n")
}

// named lists the folders below root whose names begin with prefix.
func named(root, prefix string) string {
	var found []string
	filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), fmt.Sprintf("%s%d-", prefix, os.Getpid())) {
			found = append(found, path)
		}
		return nil
	})
	return strings.Join(found, "\n")
}

// sysctls are the settings of memory and kernel that do not change by themselves.
func sysctls() string {
	var b strings.Builder
	for _, dir := range []string{"/proc/sys/vm", "/proc/sys/kernel", "/proc/sys/fs", "/proc/sys/user"} {
		filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			for _, restless := range []string{"random", "pty", "ns_last_pid", "-nr", "-state", "stat_refresh",
				"compact_memory", "drop_caches", "quota", "aio-nr"} {
				if strings.Contains(path, restless) {
					return nil
				}
			}
			if err == nil && !d.IsDir() {
				if text, err := os.ReadFile(path); err == nil {
					fmt.Fprintf(&b, "%s = %s", path, text)
				}
			}
			return nil
		})
	}
	return b.String()
}

// children are the processes that this one has started, or that ended up with it.
func children() string {
	var found []string
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) > 1 && fields[1] == fmt.Sprint(os.Getpid()) {
			found = append(found, string(text))
		}
	}
	return strings.Join(found, "\n")
}

// An interrupted run kills what it has started, and says that it knows nothing.
func TestInterrupted(t *testing.T) {
	t.Setenv("SAFEVMA_PROBE_TEST", "1")
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	probes := make([]Probe, 3)
	for i := range probes {
		probes[i] = Probe{ID: "t-hangs", Needs: Needs{Folder: true, Limit: time.Minute}}
	}
	start := time.Now()
	r, err := Run(ctx, Config{Probes: probes, Parallel: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Probes {
		if p.Outcome != Unknown || p.Reason.Detail != "interrupted" {
			t.Errorf("%s: %s, %+v", p.ID, p.Outcome, p.Reason)
		}
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %v to be interrupted", took)
	}
	if left := names(os.TempDir(), prefix+fmt.Sprint(os.Getpid())+"*"); left != "" {
		t.Errorf("left: %s", left)
	}
}

// The secret pages of all probes together are within the budget.
func TestBudget(t *testing.T) {
	var b budget
	b.take(10)
	b.take(6)
	taken := make(chan bool)
	go func() { b.take(1); close(taken) }()
	select {
	case <-taken:
		t.Fatal("17 pages were given")
	case <-time.After(50 * time.Millisecond):
	}
	b.give(6)
	<-taken
	if b.now != 11 || b.most != 16 {
		t.Errorf("%d now, %d at most", b.now, b.most)
	}
}

// A program that never asks can't start itself as a probe.
func TestNotHooked(t *testing.T) {
	asked = false
	defer func() { asked = true }()
	if _, err := Run(context.Background(), Config{}); !errors.Is(err, ErrNotHooked) {
		t.Error(err)
	}
}

func example() *Report {
	r := &Report{Schema: Schema, Tool: guarantee.Tool{Name: "t", Version: "v"},
		Host: guarantee.Host{Kernel: "6.0", Machine: "m"}, Probes: []Result{
			{ID: "mf-both", Subject: Memfd, Claim: "a < b", Requirement: "SV-XDM-03", Outcome: Confirmed,
				Experiments: []ExperimentResult{{Try: "try", On: "it", Got: "EINVAL",
					Controls: []ControlResult{{"that", OK, OK, true}}, Outcome: Confirmed}}},
			{ID: "sm-copy-write", Subject: Secret, Claim: "c", Outcome: Refuted,
				Experiments: []ExperimentResult{{Try: "try", On: "it", Got: OK, Outcome: Refuted}}},
			{ID: "sm-limit", Subject: Secret, Claim: "d", Outcome: Unknown, Reason: &Reason{Missing, "not\nhere # or there"}},
		}}
	r.Summary = summarize(r.Probes)
	return r
}

func TestKTAP(t *testing.T) {
	var b strings.Builder
	if err := example().WriteKTAP(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"KTAP version 1\n", "\n1..3\n", "\nok 1 mf-both\n", "\nnot ok 2 sm-copy-write\n",
		"\nok 3 sm-limit # SKIP missing: not here No.  or there\n",
		"# try on it: EINVAL; controls: that: ok\n", "# Totals: pass:1 fail:1 xfail:0 xpass:0 skip:1 error:0\n"} {
		if !strings.Contains("\n"+b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
}

func TestJUnit(t *testing.T) {
	var b bytes.Buffer
	if err := example().WriteJUnit(&b); err != nil {
		t.Fatal(err)
	}
	var got junitSuites
	if err := xml.NewDecoder(&b).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Tests != 3 || got.Failures != 1 || got.Skipped != 1 || len(got.Suites) != 2 || len(got.Suites[1].Cases) != 2 {
		t.Fatalf("%+v", got)
	}
	first := got.Suites[0].Cases[0]
	if first.Name != "mf-both" || first.Failure != nil || first.Skipped != nil || !slices.Contains(first.Properties,
		junitProperty{"requirement", "SV-XDM-03"}) || !slices.Contains(first.Properties, junitProperty{"claim", "a < b"}) {
		t.Errorf("%+v", first)
	}
	if c := got.Suites[1].Cases; c[0].Failure == nil || c[1].Skipped == nil {
		t.Errorf("%+v", c)
	}
}

func TestCompare(t *testing.T) {
	a, b := example(), example()
	b.Host.Kernel = "7.0"
	b.Probes[1].Outcome, b.Probes[1].Experiments[0].Got = Confirmed, "EFAULT"
	b.Probes = append(b.Probes, Result{ID: "new-probe", Claim: "e", Outcome: Confirmed})
	c := example()
	c.Probes[0] = Result{ID: "mf-both", Claim: "a < b", Outcome: Unknown, Reason: &Reason{Privilege, "may not"}}
	l := Compare(a, b, c)
	var ids []string
	for _, r := range l.Differing().Rows {
		ids = append(ids, r.ID)
	}
	if fmt.Sprint(ids) != "[sm-copy-write]" || len(l.Rows) != 4 {
		t.Errorf("%v differ, %d rows", ids, len(l.Rows))
	}
	// What one kernel lacks is a difference; what could not be measured there is none.
	c.Probes[0].Reason.Why = Missing
	if l := Compare(a, c); len(l.Differing().Rows) != 1 || l.Differing().Rows[0].ID != "mf-both" {
		t.Errorf("%+v", l.Differing().Rows)
	}
	var text strings.Builder
	if err := Compare(a, b).WriteMarkdown(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| `sm-copy-write` | c | refuted: ok | confirmed: EFAULT |", "6.0 (m)",
		"- `sm-copy-write`: "} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in:\n%s", want, text.String())
		}
	}
}

// What a file says writes to no terminal and breaks no table, and no probe is left out.
func TestMarkdownOfOthers(t *testing.T) {
	r := example()
	r.Host.Kernel = "6\x1b[31m|\n0"
	r.Probes = append(r.Probes, Result{ID: "gone`probe", Claim: "c\x1b]0;x\x07", Outcome: Confirmed})
	var text strings.Builder
	if err := Compare(r, r).WriteMarkdown(&text); err != nil {
		t.Fatal(err)
	}
	if got := text.String(); strings.ContainsAny(got, "\x1b\x07") || !strings.Contains(got, `| 6\x1b[31m\| 0 (m) |`) {
		t.Errorf("%q", got)
	}
	if want := "\n| `gone'probe` | c\\x1b]0;x\\x07 | confirmed | confirmed |\n"; !strings.Contains(text.String(), want) {
		t.Errorf("no %q in:\n%s", want, text.String())
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := example().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	again, err := ReadJSON(bytes.NewReader(b.Bytes()))
	if err != nil || len(again.Probes) != 3 || again.Probes[2].Reason.Why != Missing {
		t.Errorf("%+v, %v", again, err)
	}
	twice, odd := example(), example()
	twice.Probes[1].ID, odd.Probes[1].Outcome = twice.Probes[0].ID, "fine"
	document := func(r *Report) string {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, text := range []string{"", "{}", `{"schema":"safevma.probes/v0"}`, "[]", document(twice), document(odd), document(example()) + "{}"} {
		if _, err := ReadJSON(strings.NewReader(text)); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

func FuzzReadJSON(f *testing.F) {
	text, _ := json.Marshal(example())
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ReadJSON(bytes.NewReader(text))
		if err != nil {
			return
		}
		l := Compare(r, r)
		if len(l.Differing().Rows) != 0 {
			t.Errorf("a report differs from itself: %+v", l.Differing().Rows)
		}
		if err := l.WriteMarkdown(io.Discard); err != nil {
			t.Error(err)
		}
	})
}

// A run that was killed leaves a folder and a group; the next one removes them.
func TestSweep(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Skip(err)
	}
	gone := filepath.Join(os.TempDir(), fmt.Sprintf("%s%d-x-1", prefix, cmd.Process.Pid))
	own := filepath.Join(os.TempDir(), fmt.Sprintf("%s%d-x-1", prefix, os.Getpid()))
	other := filepath.Join(os.TempDir(), "something-else")
	for _, dir := range []string{gone, own, other} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	fresh := filepath.Join(os.TempDir(), fmt.Sprintf("%s%d-y-1", prefix, cmd.Process.Pid))
	if err := os.Mkdir(fresh, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{gone, own, other} {
		if err := os.Chtimes(dir, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	sweep()
	for dir, want := range map[string]bool{gone: false, own: true, other: true, fresh: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s: %v", dir, err)
		}
	}
}
