package guard_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/guard"
)

// TestFaultsAreFound leaves out applying each rule in turn. The launch must say of that rule, and of no
// other, that it does not hold, and the program must not have run.
func TestFaultsAreFound(t *testing.T) {
	if raceEnabled {
		t.Skip("what is tried is another process, of which the race detector sees nothing")
	}
	file := filepath.Join(t.TempDir(), "all.yaml")
	profile := "schema: " + guard.Schema + "\nname: all\nextends: [safety]\nrules: {oom-score: true, address-space: true, numa: true}\n" +
		"oom_score_adj: 500\naddress_space: 8GiB\nnuma_nodes: [0]\n"
	if err := os.WriteFile(file, []byte(profile), 0o644); err != nil {
		t.Fatal(err)
	}
	say := func() *exec.Cmd {
		cmd := launcher(file, leftOut(), victim(t))
		cmd.Env = append(cmd.Env, sayEnv+"=ran")
		return cmd
	}
	if out, err := say().CombinedOutput(); err != nil || string(out) != "ran\n" {
		t.Fatalf("with all rules: %v, %s", err, out)
	}
	for _, i := range guard.Rules() {
		t.Run(string(i.Rule), func(t *testing.T) {
			if slices.Contains(leftOut(), i.Rule) {
				t.Skip("it can't be had here")
			}
			cmd := say()
			cmd.Env = append(cmd.Env, skipEnv+"="+string(i.Rule))
			out, err := cmd.CombinedOutput()
			var e *exec.ExitError
			if !errors.As(err, &e) || e.ExitCode() != 125 || !bytes.Contains(out, []byte("rule "+string(i.Rule)+":")) || bytes.Contains(out, []byte("ran")) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// status runs a command, and returns its exit status.
func status(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	out, err := cmd.CombinedOutput()
	var e *exec.ExitError
	if err != nil && !errors.As(err, &e) {
		t.Fatal(err)
	}
	t.Logf("%s", out)
	return cmd.ProcessState.ExitCode()
}

// TestStatus: the status of the program, or the signal that ended it, comes back.
func TestStatus(t *testing.T) {
	distribution(t)
	for command, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -KILL $$": 128 + 9, "kill -TERM $$": 128 + 15} {
		if got := status(t, launcher("wx", leftOut(), "/bin/sh", "-c", command)); got != want {
			t.Errorf("%q: %d, want %d", command, got, want)
		}
	}
	if got := status(t, launcher("wx", leftOut(), "/nonexistent")); got != 125 {
		t.Errorf("what there is not: %d", got)
	}
	if got := status(t, launcher("wx", leftOut(), "/bin/true")); got != 0 {
		t.Errorf("true: %d", got)
	}
}

// TestNested: inside itself there are no namespaces to be had, and it says so.
func TestNested(t *testing.T) {
	if got := status(t, launcher("wx", leftOut(), victim(t))); got != 0 {
		t.Fatalf("the victim alone: %d", got)
	}
	cmd := launcher("wx", leftOut(), victim(t), victim(t))
	cmd.Env = append(cmd.Env, nestedEnv+"=wx")
	out, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != 125 || !bytes.Contains(out, []byte("inside another launch")) {
		t.Errorf("inside itself: %d, want 125: %s", got, out)
	}
}

// TestKill: where a violation kills, it does, and what the rules do is seen on a twin.
func TestKill(t *testing.T) {
	distribution(t)
	file := filepath.Join(t.TempDir(), "kill.yaml")
	profile := "schema: " + guard.Schema + "\nname: kill\nextends: [safety]\nviolation: kill\n"
	if err := os.WriteFile(file, []byte(profile), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := status(t, launcher(file, leftOut(), "/bin/true")); got != 0 {
		t.Errorf("a program that violates nothing: %d", got)
	}
	cmd := launcher(file, leftOut(), victim(t))
	cmd.Env = append(cmd.Env, attackEnv+"=io-uring")
	if got := status(t, cmd); got != 128+int(syscall.SIGSYS) {
		t.Errorf("one that does: %d", got)
	}
}

// started is a program under rules that writes its pid, and waits.
func started(t *testing.T, profile, script string) (cmd *exec.Cmd, out io.Reader) {
	t.Helper()
	cmd = launcher(profile, leftOut(), "/bin/sh", "-c", script)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

func expect(t *testing.T, out io.Reader, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(out, b); err != nil || string(b) != want {
		t.Fatalf("%q, %v, want %q", b, err, want)
	}
}

// TestSignals: what the launcher gets goes to the program.
func TestSignals(t *testing.T) {
	distribution(t)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGWINCH} {
		cmd, out := started(t, "wx", fmt.Sprintf("trap 'echo got; exit 3' %d; echo ready; while :; do sleep 0.05; done", sig))
		expect(t, out, "ready\n")
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		expect(t, out, "got\n")
		if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 3 {
			t.Errorf("%v: %v", sig, cmd.ProcessState)
		}
	}
}

// TestStop: a program that is stopped stops the launcher, and one that goes on goes on.
func TestStop(t *testing.T) {
	distribution(t)
	cmd, out := started(t, "wx", "echo ready; kill -STOP $$; echo on")
	expect(t, out, "ready\n")
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(cmd.Process.Pid, &ws, syscall.WUNTRACED, nil); err != nil || !ws.Stopped() {
		t.Fatalf("the launcher did not stop: %v, %v", ws, err)
	}
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	expect(t, out, "on\n")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestNothingLeft: what the program has started ends with it, and with the launcher.
func TestNothingLeft(t *testing.T) {
	distribution(t)
	for _, profile := range []string{"wx", "secrets", "deterministic"} {
		for _, end := range []string{"read x; exit 3", "wait"} {
			mark := fmt.Sprintf("%d.%09d", 1000+os.Getpid(), time.Now().UnixNano()%1e9) // a time that nobody else sleeps
			cmd := launcher(profile, leftOut(), "/bin/sh", "-c", "(setsid sleep "+mark+" & ) >&- 2>&-; sleep "+mark+" >&- 2>&- & echo ready; "+end)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stderr = os.Stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			expect(t, out, "ready\n")
			waitFor(t, func() bool { return len(processes(t, mark)) >= 2 }, "the program does not sleep")
			if end == "wait" {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			in.Close()
			_ = cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); end != "wait" && got != 3 {
				t.Errorf("%s: status %d", profile, got)
			}
			waitFor(t, func() bool { return len(processes(t, mark)) == 0 }, profile+": left behind")
		}
	}
}

func waitFor(t *testing.T, done func() bool, otherwise string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(otherwise)
		}
	}
}

// processes are those that have a word in their command line.
func processes(t *testing.T, word string) (all []int) {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, _ := os.ReadFile(name) // gone
		if pid, err := strconv.Atoi(strings.Split(name, "/")[2]); err == nil && bytes.Contains(text, []byte(word)) {
			all = append(all, pid)
		}
	}
	return all
}

// TestRunRefuses: what is no launch is an error.
func TestRunRefuses(t *testing.T) {
	s, err := guard.Combine(guard.Builtin()...)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []guard.Config{{}, {Settings: s}, {Command: []string{"/bin/true"}}} {
		if _, err := guard.Run(c); err == nil {
			t.Errorf("%+v: no error", c)
		}
	}
}
