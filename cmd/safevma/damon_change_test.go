package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/safevma/safevma/kernel/damon"
	"github.com/safevma/safevma/lab"
)

// damonCommand runs a command, and returns what it writes and its exit status.
func damonCommand(t *testing.T, args ...string) (text string, status int, err error) {
	t.Helper()
	var b bytes.Buffer
	root := newRoot()
	root.SetArgs(append([]string{"damon"}, args...))
	root.SetOut(&b)
	root.SetErr(io.Discard)
	if err = root.ExecuteContext(t.Context()); err == nil {
		return b.String(), 0, nil
	}
	var e *exit
	if errors.As(err, &e) {
		return b.String(), e.status, err
	}
	return b.String(), exitUsage, err // as main does
}

func writePlan(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "plan.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// What somebody else has made is refused, and is the same, all of it, before and after each
// command. It is never adopted here.
func TestDAMONForeignStays(t *testing.T) {
	in, err := damon.Default().Read()
	if err != nil {
		t.Skip(err)
	}
	s, err := damonStatus()
	if err != nil {
		t.Fatal(err)
	}
	if len(in.Kdamonds) == 0 || len(s.Threads) == 0 || s.Threads[0].Owner != damon.ByInterface {
		t.Skip("nobody else watches here: a command might write")
	}
	_, err = os.Stat("/run/safevma/damon.lock")
	locked := err == nil
	before := damonTree(t)
	pid, file := strconv.Itoa(os.Getpid()), writePlan(t, "[{contexts: [{operations: paddr, targets: [{}]}]}]")
	for _, args := range [][]string{{"start", "paddr"}, {"start", pid}, {"start", "--plan", file}, {"start", pid, "--dry-run"},
		{"tune", "--quota-bytes", "1GiB"}, {"tune", "--plan", file}, {"tune", "--age", "1-2", "-n"}, {"stop"}, {"stop", "--output", "json"}, {"stop", "-n"}} {
		text, status, err := damonCommand(t, args...)
		if status != exitNotMeasurable || !errors.Is(err, damon.ErrForeign) || !strings.Contains(err.Error(), "--adopt") || text != "" {
			t.Errorf("%v: status %d, %v, %q", args, status, err, text)
		}
		if after := damonTree(t); !maps.Equal(before, after) {
			t.Fatalf("%v: before\n%v\nafter\n%v", args, before, after)
		}
	}
	if _, err := os.Stat("/run/safevma/damon.lock"); locked != (err == nil) {
		t.Errorf("the lock was taken: %v", err)
	}
}

// What is wrong with words and plans is the caller's, and is said before anything is read.
func TestDAMONUsage(t *testing.T) {
	for _, args := range [][]string{{"start", "x"}, {"start", "paddr", "3"}, {"start", "5", "--sample", "x"}, {"start", "5", "--age", "5"},
		{"start", "5", "--filter", "anon"}, {"start", "--plan", writePlan(t, "a: b")}, {"start", "--plan", writePlan(t, "{")}, {"stop", "5"},
		{"start", "5", "--output", "xml"}, {"tune", "paddr", "paddr"}} {
		if text, status, err := damonCommand(t, args...); status != exitUsage || text != "" {
			t.Errorf("%v: status %d, %v, %q", args, status, err, text)
		}
	}
	for _, name := range []string{"/no/such/file", t.TempDir()} {
		if _, status, err := damonCommand(t, "start", "--plan", name); status != exitNotMeasurable || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: status %d, %v", name, status, err)
		}
		if _, status, err := damonCommand(t, "import", "--check", name); status != exitUsage || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: status %d, %v", name, status, err)
		}
	}
}

// freeDAMON lets a test start kdamonds: in the lab alone, where nobody else does.
func freeDAMON(t *testing.T) {
	t.Helper()
	lab.Inside(t)
	lab.Require(t, "damon-vaddr")
	const enabled = "/sys/module/damon_stat/parameters/enabled"
	if text, err := os.ReadFile(enabled); err == nil && string(text) == "Y\n" {
		write := func(text string) {
			if err := os.WriteFile(enabled, []byte(text), 0); err != nil {
				t.Fatal(err)
			}
		}
		write("N")
		t.Cleanup(func() { write("Y") })
	}
}

// A kdamond is started, shown as ours, tuned and stopped by commands.
func TestDAMONCommands(t *testing.T) {
	freeDAMON(t)
	change := func(args ...string) *damon.Change {
		t.Helper()
		text, status, err := damonCommand(t, append(args, "--output", "json")...)
		if status != 0 {
			t.Fatalf("%v: %v", args, err)
		}
		if err := validate("damon-change-v1", text); err != nil {
			t.Errorf("%v: %v", args, err)
		}
		var c damon.Change
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			t.Fatal(err)
		}
		return &c
	}
	pid := strconv.Itoa(os.Getpid())
	dry := change("start", pid, "--sample", "10ms", "--action", "stat", "--dry-run")
	started := change("start", pid, "--sample", "10ms", "--action", "stat")
	if len(started.Writes) != len(dry.Writes) || len(dry.Kdamonds) != 0 || started.Kdamonds[0].State != damon.On {
		t.Errorf("%+v\n%+v", dry, started)
	}
	s, err := damonStatus()
	if err != nil || len(s.Threads) != 1 || s.Threads[0].Owner != damon.BySafevma {
		t.Errorf("%+v, %v", s, err)
	}
	if _, status, err := damonCommand(t, "start", pid); status != exitNotMeasurable || !errors.Is(err, damon.ErrRunning) {
		t.Errorf("twice: %v", err)
	}
	tuned := change("tune", "--regions", "20-500", "--filter", "reject anon")
	if k := tuned.Kdamonds[0]; k.PID != started.Kdamonds[0].PID || k.Contexts[0].Attrs.Regions.Max != 500 {
		t.Errorf("%+v", k)
	}
	if text, status, _ := damonCommand(t, "tune", "--regions", "2-500"); status != exitUsage || text != "" {
		t.Errorf("two regions: status %d", status)
	}
	if stopped := change("stop"); len(stopped.Kdamonds) != 0 {
		t.Errorf("%+v", stopped)
	}
	if _, status, err := damonCommand(t, "stop"); status != exitNotMeasurable || !errors.Is(err, damon.ErrNone) {
		t.Errorf("nothing is there: %v", err)
	}
	if text, status, err := damonCommand(t, "start", "paddr"); status != 0 || !strings.Contains(text, "kdamond 0: on") {
		t.Errorf("all of memory: %q, %v", text, err)
	}
	change("stop")
}
