package guard_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childrenOf lists the children of a process.
func childrenOf(pid int) (all []int) {
	names, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, name := range names {
		text, _ := os.ReadFile(name) // gone
		var child int
		if _, err := fmt.Sscanf(strings.Split(name, "/")[2], "%d", &child); err == nil && bytes.Contains(text, fmt.Appendf(nil, "\nPPid:\t%d\n", pid)) {
			all = append(all, child)
		}
	}
	return all
}

// below returns the process so many generations below another one, 0 where there is none.
func below(pid, depth int) int {
	for range depth {
		all := childrenOf(pid)
		if len(all) != 1 {
			return 0
		}
		pid = all[0]
	}
	return pid
}

// TestStageKilled: whichever process between the launcher and the program is killed, the program ends, and
// the launcher says so.
func TestStageKilled(t *testing.T) {
	distribution(t)
	profiles := []string{"wx", "secrets"}
	if testing.Short() {
		profiles = profiles[:1]
	}
	for _, profile := range profiles {
		for depth, name := range []string{"launcher", "outer", "inner", "program"} {
			if profile == "secrets" && name == "outer" {
				continue // there it only waits
			}
			cmd := launcher(profile, leftOut(), "/bin/sh", "-c", "echo ready; exec sleep 1000")
			var problems bytes.Buffer
			cmd.Stderr = &problems
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			expect(t, out, "ready\n")
			var program, pid int
			waitFor(t, func() bool { program = below(cmd.Process.Pid, 3); return program != 0 }, "no program")
			if pid = below(cmd.Process.Pid, depth); pid == 0 {
				t.Fatal("no ", name)
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			want := map[string]int{"launcher": -1, "outer": 125, "inner": 125, "program": 128 + 9}[name]
			if got := cmd.ProcessState.ExitCode(); got != want {
				t.Errorf("%s: %s killed: status %d, want %d", profile, name, got, want)
			}
			if want == 125 && !strings.Contains(problems.String(), "the program was killed") {
				t.Errorf("%s: %s killed: %s", profile, name, problems.String())
			}
			waitFor(t, func() bool { return syscall.Kill(program, 0) != nil }, profile+": the program is left")
		}
	}
}

// TestKilledEarly: a launcher or a stage that is killed at any time of the launch leaves nothing.
func TestKilledEarly(t *testing.T) {
	distribution(t)
	times := 24
	if testing.Short() {
		times = 6
	}
	for i := range times {
		mark := fmt.Sprintf("%d.%09d", 2000+os.Getpid(), time.Now().UnixNano()%1e9)
		cmd := launcher([]string{"wx", "secrets"}[i%2], leftOut(), "/bin/sleep", mark)
		var problems bytes.Buffer
		cmd.Stderr = &problems
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		depth := i / 2 % 3
		if pid := below(cmd.Process.Pid, depth); pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if depth > 0 { // else the stage was not there yet, or the program runs without it
			time.Sleep(100 * time.Millisecond)
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		select {
		case <-done:
		case <-time.After(time.Minute):
			_ = cmd.Process.Kill()
			t.Fatalf("after the kill of number %d it goes on: %s", depth, problems.String())
		}
		waitFor(t, func() bool { return len(processes(t, mark)) == 0 }, "left behind")
	}
}

// TestEarlySignal: a signal before the first instruction ends the launch, or is none of its business.
func TestEarlySignal(t *testing.T) {
	distribution(t)
	times := 16
	if testing.Short() {
		times = 4
	}
	for i := range times {
		cmd := launcher("wx", leftOut(), "/bin/sleep", "0.2")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		sig, want := syscall.SIGTERM, 128+int(syscall.SIGTERM)
		if i%2 == 0 {
			sig, want = syscall.SIGWINCH, 0
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		got := cmd.ProcessState.ExitCode()
		if s := cmd.ProcessState.Sys().(syscall.WaitStatus); s.Signaled() { // before it listened to signals
			got = 128 + int(s.Signal())
		}
		if got != want {
			t.Errorf("%v: status %d, want %d", sig, got, want)
		}
	}
}

// TestManyLaunches: launches in a row leave no process, cgroup or mount.
func TestManyLaunches(t *testing.T) {
	distribution(t)
	count := 100
	if testing.Short() {
		count = 3
	}
	mounts := func() string {
		text, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	before := mounts()
	for range count {
		cmd := launcher("safety", leftOut(), "/bin/true")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v, %s", err, out)
		}
		if left := childrenOf(os.Getpid()); len(left) > 0 {
			t.Fatalf("left behind: %v", left)
		}
		found, _ := exec.Command("find", "/sys/fs/cgroup", "-name", fmt.Sprintf("safevma-run-%d", cmd.Process.Pid)).Output()
		if len(found) > 0 {
			t.Fatalf("left behind: %s", found)
		}
	}
	if after := mounts(); after != before {
		t.Errorf("mounts before:\n%s\nand after:\n%s", before, after)
	}
}
