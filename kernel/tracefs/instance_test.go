package tracefs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/sys"
)

// TestMain: a child makes an instance, says its name and waits.
func TestMain(m *testing.M) {
	if os.Getenv("SAFEVMA_TRACEFS_CHILD") == "" {
		os.Exit(m.Run())
	}
	i, err := New(Options{BufferKiB: 8})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(i.Name())
	_, _ = os.Stdin.Read(make([]byte, 1))
	if err := i.Close(); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// instance makes one, or skips.
func instance(t *testing.T, kib int) *Instance {
	t.Helper()
	i, err := New(Options{BufferKiB: kib})
	if errors.Is(err, ErrAbsent) || errors.Is(err, ErrDenied) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	})
	return i
}

// marker writes text into the buffers, as events "print" of the CPU that it runs on.
type marker struct{ file *os.File }

func newMarker(t *testing.T, i *Instance) marker {
	t.Helper()
	file, err := os.OpenFile(filepath.Join(i.dir, "trace_marker"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return marker{file}
}

func (m marker) write(t *testing.T, text string) {
	t.Helper()
	if _, err := m.file.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// prints is the format of events "print".
func prints(t *testing.T, i *Instance) *Format {
	t.Helper()
	f, err := i.Format("ftrace", "print")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// printed returns the text of an event "print".
func printed(t *testing.T, f *Format, e Event) string {
	t.Helper()
	if e.Type != f.ID {
		t.Fatalf("type %d, want %d", e.Type, f.ID)
	}
	text, _, _ := strings.Cut(string(e.Data[f.Fields[len(f.Fields)-1].Offset:]), "\x00")
	return strings.TrimSpace(text)
}

// What is read are the events that the kernel itself shows as text, with their CPUs, times
// and order; some of them more than a bare time delta apart.
func TestReadAgreesWithKernel(t *testing.T) {
	i := instance(t, 64)
	m := newMarker(t, i)
	print := prints(t, i)
	defer runtime.UnlockOSThread()
	runtime.LockOSThread()
	cpus, err := sys.CPUs()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := sys.RunOn(cpus...); err != nil {
			t.Error(err)
		}
	}()
	for n := range 60 {
		if err := sys.RunOn(cpus[n%len(cpus)]); err != nil {
			t.Fatal(err)
		}
		m.write(t, "event "+strconv.Itoa(n)+strings.Repeat("x", 3*n))
		if n%20 == 10 {
			time.Sleep(200 * time.Millisecond)
		}
	}
	want := kernelText(t, i)
	var got []string
	err = i.Read(true, func(e Event) error {
		us := (e.Time + 500) / 1000
		got = append(got, fmt.Sprintf("[%03d] %d.%06d: %s", e.CPU, us/1e6, us%1e6, printed(t, print, e)))
		return nil
	})
	if err != nil || len(got) != 60 {
		t.Fatal(len(got), err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nthe kernel says\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// kernelText is what the kernel shows: "name-pid [cpu] flags seconds: function: text".
func kernelText(t *testing.T, i *Instance) (all []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(i.dir, "trace"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		_, rest, ok := strings.Cut(line, " [")
		parts := strings.Fields(rest)
		if !ok || strings.HasPrefix(line, "#") || len(parts) < 5 {
			continue
		}
		_, message, _ := strings.Cut(rest, "event ")
		all = append(all, fmt.Sprintf("[%s %s event %s", parts[0], parts[2], strings.TrimSpace(message)))
	}
	return all
}

// Where one CPU has more than is read of it at once, what another has comes in its place
// all the same. Times are those of CLOCK_MONOTONIC.
func TestReadBacklog(t *testing.T) {
	i := instance(t, 4096)
	m := newMarker(t, i)
	print := prints(t, i)
	if clock, err := os.ReadFile(filepath.Join(i.dir, "trace_clock")); err != nil || !strings.Contains(string(clock), "[mono]") {
		t.Errorf("%s, %v", clock, err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cpus, err := sys.CPUs()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := sys.RunOn(cpus...); err != nil {
			t.Error(err)
		}
	}()
	from, err := sys.Monotonic()
	if err != nil {
		t.Fatal(err)
	}
	const written = 12000
	for n := range written {
		if n%3000 == 0 || n%3000 == 1 { // one event on the last CPU, the others on the first
			if err := sys.RunOn(cpus[(1-n%3000)*(len(cpus)-1)]); err != nil {
				t.Fatal(err)
			}
		}
		m.write(t, strconv.Itoa(n)+strings.Repeat("x", 150))
	}
	to, err := sys.Monotonic()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := i.Read(true, func(e Event) error {
		if text := printed(t, print, e); !strings.HasPrefix(text, strconv.Itoa(n)+"x") || e.Time < uint64(from) || e.Time > uint64(to) {
			return fmt.Errorf("event %d is %.10q at %d, not within %d and %d", n, text, e.Time, from, to)
		}
		n++
		return nil
	}); err != nil || n != written {
		t.Error(n, err)
	}
}

// Each event is there once, however often is read.
func TestReadInParts(t *testing.T) {
	i := instance(t, 64)
	m := newMarker(t, i)
	print := prints(t, i)
	var got []string
	for n := range 300 {
		m.write(t, strconv.Itoa(n))
		if n%7 == 0 || n == 299 {
			if err := i.Read(n == 299, func(e Event) error {
				got = append(got, printed(t, print, e))
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for n, text := range got {
		if text != strconv.Itoa(n) {
			t.Fatalf("event %d is %q", n, text)
		}
	}
	if len(got) != 300 {
		t.Errorf("%d of 300", len(got))
	}
}

// What a full buffer loses is counted, by the pages and by the kernel, to the last event.
func TestLost(t *testing.T) {
	i := instance(t, 8)
	m := newMarker(t, i)
	prints(t, i)
	const written = 4000
	for range written {
		m.write(t, "an event that somebody should have read")
	}
	var read, missed uint64
	if err := i.Read(true, func(e Event) error {
		read++
		missed += e.Missed.Events
		if e.Missed.Events > 0 && !e.Missed.Some {
			t.Error("events are missing, but not some")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	stats, err := i.Stats()
	if err != nil {
		t.Fatal(err)
	}
	var lost uint64
	for _, s := range stats {
		lost += s.Lost()
	}
	if missed == 0 || missed != lost || read+lost != written {
		t.Errorf("read %d, pages say %d are lost, the kernel says %d; written %d", read, missed, lost, written)
	}
}

// An instance is gone after Close; what is enabled in it is not enabled elsewhere.
func TestClose(t *testing.T) {
	i := instance(t, 8)
	root := i.root.path
	if _, err := i.Enable("damon", "damon_aggregated"); err != nil && !errors.Is(err, ErrAbsent) {
		t.Fatal(err)
	}
	if _, err := i.Enable("damon", "no_such_event"); !errors.Is(err, ErrAbsent) {
		t.Errorf("an event that is not there: %v", err)
	}
	other := instance(t, 8)
	if b, err := os.ReadFile(filepath.Join(other.root.path, "events", "damon", "enable")); err == nil && strings.TrimSpace(string(b)) != "0" {
		t.Errorf("enabled for all: %q", b)
	}
	name := i.Name()
	if list := instances(t, other.root.path); !slices.Contains(list, name) {
		t.Fatalf("no %s in %v", name, list)
	}
	if err := i.Close(); err != nil {
		t.Fatal(err)
	}
	if list := instances(t, other.root.path); slices.Contains(list, name) {
		t.Errorf("%s is left in %v of %s", name, list, root)
	}
}

func instances(t *testing.T, root string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, "instances"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// What a killed process leaves is removed; that of one that runs is not.
func TestSweep(t *testing.T) {
	i := instance(t, 8)
	dead, alive := child(t), child(t)
	if err := dead.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = dead.cmd.Wait()
	list := instances(t, i.root.path)
	if !slices.Contains(list, dead.name) || !slices.Contains(list, alive.name) {
		t.Fatalf("%s and %s are not both in %v", dead.name, alive.name, list)
	}
	removed, err := Sweep()
	if err != nil || !slices.Contains(removed, dead.name) || slices.Contains(removed, alive.name) || slices.Contains(removed, i.Name()) {
		t.Errorf("removed %v, %v", removed, err)
	}
	if list := instances(t, i.root.path); slices.Contains(list, dead.name) || !slices.Contains(list, alive.name) {
		t.Errorf("left: %v", list)
	}
	alive.stdin.Close()
	if err := alive.cmd.Wait(); err != nil {
		t.Error(err)
	}
	if list := instances(t, i.root.path); slices.Contains(list, alive.name) {
		t.Errorf("left: %v", list)
	}
}

func TestAbandoned(t *testing.T) {
	start, err := startOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	own := strconv.Itoa(os.Getpid())
	for name, want := range map[string]bool{
		"safevma-7-" + own + "-" + start + "-1":  false,
		"safevma-7-" + own + "-" + start + "9-1": true, // the number was used again
		"safevma-8-" + own + "-" + start + "9-1": false,
		"safevma-7-4194305-1-1":                  true, // above the most that there can be
		"safevma-7-0-1-1":                        false,
		"safevma-7-x-1-1":                        false,
		"other-7-4194305-1-1":                    false,
		"safevma":                                false,
	} {
		if got := abandoned(name, "7"); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

type process struct {
	cmd   *exec.Cmd
	stdin interface{ Close() error }
	name  string
}

func child(t *testing.T) process {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "SAFEVMA_TRACEFS_CHILD=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	b := make([]byte, 256)
	n, err := stdout.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return process{cmd, stdin, strings.TrimSpace(string(b[:n]))}
}

// Without privileges it says so.
func TestDenied(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may trace")
	}
	if i, err := New(Options{}); !errors.Is(err, ErrDenied) {
		if err == nil {
			i.Close()
		}
		t.Errorf("%v, want %v", err, ErrDenied)
	}
}

func TestClassify(t *testing.T) {
	for errno, want := range map[syscall.Errno]error{syscall.ENOENT: ErrAbsent, syscall.ENODEV: ErrAbsent, syscall.EACCES: ErrDenied, syscall.EPERM: ErrDenied} {
		if err := classify(&os.PathError{Op: "open", Path: "x", Err: errno}); !errors.Is(err, want) || !errors.Is(err, errno) {
			t.Errorf("%v: %v", errno, err)
		}
	}
	if err := classify(syscall.EIO); errors.Is(err, ErrAbsent) || errors.Is(err, ErrDenied) {
		t.Error(err)
	}
}
