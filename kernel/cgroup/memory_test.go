package cgroup

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// group makes a folder with the files of a group.
func group(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func text(t *testing.T, v any, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Both versions, as Linux writes them.
func TestReadMemory(t *testing.T) {
	two := group(t, map[string]string{"memory.current": "4096\n", "memory.max": "max\n", "memory.high": "8192\n", "memory.low": "0\n", "memory.swap.max": "0\n",
		"memory.events": "low 0\nhigh 3\nmax 2\noom 1\noom_kill 1\noom_group_kill 0\n"})
	m, err := ReadMemory(two)
	if got, want := text(t, m, err), `{"current":4096,"peak":null,"max":"max","high":8192,"low":0,"min":null,"soft":null,"swap":null,"swap_max":0}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	e, err := ReadEvents(two)
	if got, want := text(t, e, err), `{"low":0,"high":3,"max":2,"oom":1,"oom_kill":1,"oom_group_kill":0}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	one := group(t, map[string]string{"memory.usage_in_bytes": "4096\n", "memory.max_usage_in_bytes": "8192\n", "memory.limit_in_bytes": "9223372036854771712\n",
		"memory.soft_limit_in_bytes": "16384\n", "memory.failcnt": "5\n", "memory.memsw.failcnt": "2\n", "memory.oom_control": "oom_kill_disable 1\nunder_oom 0\noom_kill 4\n"})
	m, err = ReadMemory(one)
	if got, want := text(t, m, err), `{"current":4096,"peak":8192,"max":"max","high":null,"low":null,"min":null,"soft":16384,"swap":null,"swap_max":null}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	e, err = ReadEvents(one)
	if got, want := text(t, e, err), `{"low":null,"high":null,"max":7,"oom":null,"oom_kill":4,"oom_group_kill":null,"under_oom":false,"kill_disabled":true}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// The root of version 2 has statistics alone; a group without the controller nothing.
	root := group(t, map[string]string{"memory.stat": "anon 0\n"})
	m, err = ReadMemory(root)
	if got, want := text(t, m, err), `{"current":null,"peak":null,"max":null,"high":null,"low":null,"min":null,"soft":null,"swap":null,"swap_max":null}`; got != want {
		t.Errorf("%s", got)
	}
	if _, err := ReadMemory(group(t, map[string]string{"cgroup.procs": ""})); !errors.Is(err, ErrNoController) {
		t.Error(err)
	}
	if _, err := ReadEvents(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestMalformedMemory(t *testing.T) {
	for _, files := range []map[string]string{{"memory.current": "-1\n"}, {"memory.current": "1\n", "memory.max": "maximum\n"}, {"memory.usage_in_bytes": "\n"}} {
		if m, err := ReadMemory(group(t, files)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%v: %v, %v", files, m, err)
		}
	}
	for _, files := range []map[string]string{{"memory.current": "1\n", "memory.events": "low\n"}, {"memory.usage_in_bytes": "1\n", "memory.failcnt": "x\n"}} {
		if e, err := ReadEvents(group(t, files)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%v: %v, %v", files, e, err)
		}
	}
}

// A tree of groups, and where a process is in it; in a container, what lies above is out
// of sight.
func TestGroups(t *testing.T) {
	proc, mount := t.TempDir(), t.TempDir()
	for _, dir := range []string{filepath.Join(proc, "self"), filepath.Join(proc, "7"), filepath.Join(mount, "a", "b")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"self/mountinfo": "31 25 0:27 /below " + mount + " rw,relatime - cgroup2 cgroup2 rw\n",
		"self/cgroup":    "0::/below\n", "7/cgroup": "4:memory:/x\n0::/below/a/b\n",
	} {
		if err := os.WriteFile(filepath.Join(proc, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f := At(proc)
	all, err := f.Groups("")
	if err != nil || len(all) != 3 || all[0].Path != "/below" || all[2] != (Ref{"/below/a/b", filepath.Join(mount, "a", "b"), 2}) {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := f.Groups("memory"); !errors.Is(err, ErrNoController) {
		t.Error(err)
	}
	if ref, err := f.MemoryOf(7); err != nil || ref != all[2] {
		t.Errorf("%+v, %v", ref, err)
	}
	if ref, err := f.Find("below/a"); err != nil || ref != all[1] {
		t.Errorf("%+v, %v", ref, err)
	}
	for _, path := range []string{"/other", "/below/c", "/below/../other"} {
		if ref, err := f.Find(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %+v, %v", path, ref, err)
		}
	}
}

func FuzzParseMemory(f *testing.F) {
	f.Add("max")
	f.Add("9223372036854771712")
	f.Add("low 0\noom_kill 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		if a, err := parseAmount(text); err == nil && a != Unlimited && a > 1<<63 {
			t.Errorf("%q: %d bytes", text, a)
		}
		all, err := parseNumbers(text)
		for name, n := range all {
			if n == nil || err != nil {
				t.Errorf("%q: %s, %v", text, name, err)
			}
		}
	})
}
