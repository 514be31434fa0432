package offender_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/offender"
	"github.com/safevma/safevma/internal/offender/offendertest"
	"github.com/safevma/safevma/internal/sys"
)

const patience = 2 * time.Minute

// environ is the environment of a process that the tests start themselves. Without
// the option, the race detector makes each wait a second when it ends.
func environ(more ...string) []string {
	return append(append(os.Environ(), "GORACE=atexit_sleep_ms=0"), more...)
}

// word reads the 64-bit number with that index.
func word(t *testing.T, f *os.File, index uint64) uint64 {
	t.Helper()
	var b [8]byte
	if _, err := f.ReadAt(b[:], int64(index)*8); err != nil {
		t.Fatal(err)
	}
	return binary.NativeEndian.Uint64(b[:])
}

// eventually reads until what it sees is as it must be.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
	}
}

// A killed offender can undo nothing; its further processes must die with it all the
// same. Kill checks that.
func TestKilledOffenderLeavesNoProcess(t *testing.T) {
	for _, run := range [][]string{{"dual-map-processes"}, {"shared-memory"}, {"shared-cow"}, {"manifest"}, {"sleepers", "5", "10"}} {
		t.Run(run[0], func(t *testing.T) {
			o := offendertest.Start(t, run[0], run[1:]...)
			if len(o.PIDs) < 2 {
				t.Fatalf("takes part: %v, want more than one process", o.PIDs)
			}
			o.Kill(t)
		})
	}
}

// An offender must end when the process that started it is killed: by the end of its
// standard input alone, since a user's shell sets no death signal.
func TestOffenderDiesWithItsParent(t *testing.T) {
	if os.Getenv("OFFENDER_TEST_MIDDLE") != "" {
		middle()
	}
	for _, name := range []string{"wx", "shared-memory", "shared-cow", "restless", "restless-exec", "restless-fork"} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestOffenderDiesWithItsParent$")
			cmd.Env = environ("OFFENDER_TEST_MIDDLE="+name, "TMPDIR="+t.TempDir())
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var report offender.Report
			decodeErr := json.NewDecoder(out).Decode(&report)
			var pins []*os.File
			for _, pid := range report.PIDs {
				pin, err := sys.PidfdOpen(pid)
				if err != nil {
					t.Fatal(err)
				}
				defer pin.Close()
				pins = append(pins, pin)
			}
			cmd.Process.Kill()
			cmd.Wait()
			if decodeErr != nil {
				t.Fatal(decodeErr)
			}
			for i, pin := range pins {
				if gone, err := sys.WaitReadable(pin, patience); err != nil || !gone {
					t.Errorf("process %d lives on: %v", report.PIDs[i], err)
				}
			}
		})
	}
}

// middle starts an offender as a plain child, passes its report on, and waits to be
// killed.
func middle() {
	cmd := exec.Command(os.Args[0], os.Getenv("OFFENDER_TEST_MIDDLE"))
	cmd.Env = environ(offender.Env + "=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		os.Exit(1)
	}
	if err := cmd.Start(); err != nil {
		os.Exit(1)
	}
	cmd.Wait()
	os.Exit(1)
}

// The mapping that restless reports must be in every reading, while others change.
func TestRestlessKeepsItsMapping(t *testing.T) {
	o := offendertest.Start(t, "restless")
	first := maps(t, o.PID)
	eventually(t, "a change", func() bool {
		if e := find(t, smaps(t, o.PID), o.Start, o.End); e.perms != "r--s" {
			t.Fatalf("the mapping that stays is now %s", e.perms)
		}
		return maps(t, o.PID) != first
	})
}

// The process must stay while its image, and so its address space, is replaced, and
// the number of times must be kept.
func TestRestlessExec(t *testing.T) {
	const times = 5
	o := offendertest.Start(t, "restless-exec", fmt.Sprint(times))
	readings := map[string]bool{}
	eventually(t, "the last image", func() bool {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", o.PID))
		if err != nil {
			t.Fatal(err)
		}
		// In the middle of an exec it reads as empty.
		if line := strings.Split(string(text), "\x00"); len(line) == 4 {
			readings[line[2]] = true
		}
		return readings["0"]
	})
	for reading := range readings {
		if len(reading) != 1 || reading[0] < '0' || reading[0] > '0'+times {
			t.Errorf("an image says that %q are left", reading)
		}
	}
}

// It must reap its children: the kernel then adds their page faults to its own.
func TestRestlessForkReaps(t *testing.T) {
	o := offendertest.Start(t, "restless-fork")
	eventually(t, "a reaped child", func() bool {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", o.PID))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, ok := strings.Cut(string(text), ") ")
		if fields := strings.Fields(rest); ok && len(fields) > 8 {
			return fields[8] != "0" // cminflt
		}
		t.Fatalf("unexpected /proc/PID/stat: %q", text)
		return false
	})
}

// Only when told to, and every time, must manifest map exactly what it says.
func TestManifestMapsWhatItSays(t *testing.T) {
	o := offendertest.Start(t, "manifest")
	for round := range 2 {
		before := strings.Split(maps(t, o.PID), "\n")
		known := len(o.Ranges)
		report := o.Go(t)
		if got := len(report.Ranges) - known; got != 2 {
			t.Fatalf("round %d: %d more mappings in the report, want 2", round, got)
		}
		library := find(t, smaps(t, o.PID), report.Ranges[known].Start, report.Ranges[known].End)
		if library.perms != "r-xp" || !strings.HasSuffix(library.name, "/libextra.so") {
			t.Errorf("the further library is %s %q", library.perms, library.name)
		}
		memory := find(t, smaps(t, o.PID), report.Ranges[known+1].Start, report.Ranges[known+1].End)
		if memory.perms != "rw-s" {
			t.Errorf("the further memory is %s", memory.perms)
		}
		added := 0
		for line := range strings.SplitSeq(maps(t, o.PID), "\n") {
			if !slices.Contains(before, line) {
				added++
			}
		}
		if added != 2 {
			t.Errorf("round %d: %d lines are new in maps, want 2", round, added)
		}
	}
}

// run runs a program of this package to its end, with standard input closed.
func run(t *testing.T, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = environ(offender.Env+"=1", "TMPDIR="+t.TempDir())
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestExitStatus(t *testing.T) {
	for _, test := range []struct {
		args []string
		code int
		says string // on standard error
	}{
		{nil, offender.ExitUsage, "usage"},
		{[]string{"no-such"}, offender.ExitUsage, "no such offender"},
		{[]string{"vmas"}, offender.ExitUsage, "numbers"},
		{[]string{"vmas", "x"}, offender.ExitUsage, "no count"},
		{[]string{"vmas", "-1"}, offender.ExitUsage, "no count"},
		{[]string{"vmas", "10", "6"}, offender.ExitUsage, "every second"},
		{[]string{"vmas", "0"}, offender.ExitUsage, "at least one"},
		{[]string{"sleepers", "1"}, offender.ExitUsage, "numbers"},
		{[]string{"vmas", "4503599627370496"}, offender.ExitUsage, "at most"},
		{[]string{"vmas", "1000000000"}, offender.ExitCannot, "cannot here"},
		{[]string{"wx-twin"}, offender.ExitOK, ""},
		{[]string{"list"}, offender.ExitOK, ""},
		{[]string{"list", "-x"}, offender.ExitFailed, "--json"},
	} {
		_, stderr, code := run(t, os.Args[0], test.args...)
		if code != test.code || !strings.Contains(stderr, test.says) || test.says == "" && stderr != "" {
			t.Errorf("offender %q: exit %d, %q; want %d, %q", test.args, code, stderr, test.code, test.says)
		}
	}
}

// Where the kernel refuses what an offender needs, the exit status must say so, and
// standard error the reason, so that tests are skipped and do not fail. The refusal
// here: no more descriptors.
func TestRefusalIsNoFailure(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	stdout, stderr, code := run(t, sh, "-c", `ulimit -n 5 && exec "$0" memfd-exec-twin`, os.Args[0])
	if code != offender.ExitCannot || !strings.Contains(stderr, syscall.EMFILE.Error()) || stdout != "" {
		t.Errorf("exit %d, stdout %q, stderr %q; want %d and the reason", code, stdout, stderr, offender.ExitCannot)
	}
}

func TestListJSON(t *testing.T) {
	stdout, _, code := run(t, os.Args[0], "list", "--json")
	var list []offender.Spec
	if err := json.Unmarshal([]byte(stdout), &list); err != nil || code != offender.ExitOK {
		t.Fatalf("exit %d, %v", code, err)
	}
	if want := len(offender.List()) + len(offender.Fixtures()); len(list) != want {
		t.Errorf("%d programs, want %d", len(list), want)
	}
}
