package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/kernel/process"
)

// ended runs safevma, and returns its exit status and its messages.
func ended(t *testing.T, cmd *exec.Cmd) (int, string) {
	t.Helper()
	var messages bytes.Buffer
	cmd.Stderr = &messages
	err := cmd.Run()
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), messages.String()
}

// An output that can't be written is an error of every verb, in every form.
func TestOutputError(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full:", err)
	}
	defer full.Close()
	unwritable, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer unwritable.Close()
	pid := strconv.Itoa(os.Getpid())
	pool := filepath.Join(t.TempDir(), "pool")
	if status, said := ended(t, exec.Command("safevma", "pool", "create", pool, "--size", "1M")); status != 0 {
		t.Fatal(said)
	}
	for _, args := range []string{
		"pool", "pool info " + pool, "pool info -o json " + pool, "pool check " + pool, "pool check -o json " + pool, "pool inspect -o json " + pool,
		"pool dump " + pool, "pool dump -o json " + pool, "--help", "help vma", "vma --help", "version", "version -o json", "rules", "rules -o json", "guarantees", "guarantees -o json",
		"guarantees -o markdown", "completion bash", "completion fish", "vma self", "vma self -o json", "baseline " + pid, "host", "host -o json",
		"memfd -o json", "verify self --require Secret", "audit --host", "audit --pid " + pid + " -o json",
	} {
		for _, out := range []*os.File{full, unwritable} {
			cmd := exec.Command("safevma", strings.Fields(args)...)
			cmd.Stdout = out
			if status, said := ended(t, cmd); status != exitInternal || !strings.Contains(said, "safevma: cannot write the output: ") || strings.Contains(said, "Try ") {
				t.Errorf("safevma %s > %s: exit status %d: %s", args, out.Name(), status, said)
			}
		}
	}
}

// A signal is told of as a signal.
func TestInterrupted(t *testing.T) {
	for sig, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		cmd := exec.Command("safevma", "baseline", strconv.Itoa(os.Getpid()), "--looks", "2", "--pause", "1h")
		var out, messages bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &messages
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// It listens to signals before it opens the process that it is asked of.
		waitFor(t, func() bool { return opened(cmd.Process.Pid, "/proc/"+strconv.Itoa(os.Getpid())) })
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != want || messages.String() != "safevma: interrupted\n" || out.Len() > 0 {
			t.Errorf("%s: exit status %d, %q, %q", sig, got, messages.String(), out.String())
		}
	}
}

func opened(pid int, file string) bool {
	fds := "/proc/" + strconv.Itoa(pid) + "/fd"
	entries, _ := os.ReadDir(fds)
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(fds, e.Name())); err == nil && target == file {
			return true
		}
	}
	return false
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}

// Who has no memory is named, with the reason: it is not that "the process is gone".
func TestNoMemory(t *testing.T) {
	refused := func(pid int, want string) {
		t.Helper()
		for _, verb := range []string{"vma", "baseline", "verify"} {
			status, said := ended(t, exec.Command("safevma", verb, strconv.Itoa(pid)))
			if status != exitNotMeasurable || !strings.Contains(said, want) {
				t.Errorf("%s %d: exit status %d: %s", verb, pid, status, said)
			}
		}
	}
	refused(4194304, "there is no process 4194304") // above any pid_max

	if _, err := exec.LookPath("true"); err != nil {
		t.Skip(err)
	}
	child := exec.Command("true")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		info := infoOf(child.Process.Pid)
		return info != nil && info.Zombie()
	})
	refused(child.Process.Pid, "(true) has ended and waits to be reaped")
	_ = child.Wait()

	pids, err := process.Default().PIDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if info := infoOf(pid); info != nil && info.KernelThread && info.Comm == "kthreadd" {
			refused(pid, "(kthreadd) is a kernel thread: it has no memory of its own")
			return
		}
	}
	t.Log("no kernel thread is to be seen here")
}

// infoOf returns nil of a process that can't be seen.
func infoOf(pid int) *process.Info {
	p, err := process.Default().Open(pid)
	if err != nil {
		return nil
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return nil
	}
	return &info
}
