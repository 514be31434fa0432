package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// A run whose terminal hangs up removes what it has made, as it does for other signals.
func TestProbeHangup(t *testing.T) {
	for sig, want := range map[syscall.Signal]int{syscall.SIGHUP: 129, syscall.SIGINT: 130} {
		dir := t.TempDir()
		made := func() []string {
			found, _ := filepath.Glob(filepath.Join(dir, "*"))
			return found
		}
		cmd := exec.Command("safevma", "probe", "run", "cc-cow-file")
		cmd.Env = append(cmd.Environ(), "TMPDIR="+dir)
		var messages bytes.Buffer
		cmd.Stderr = &messages
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return len(made()) > 0 })
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != want || messages.String() != "safevma: interrupted\n" {
			t.Errorf("%s: exit status %d, %q", sig, got, messages.String())
		}
		if left := made(); len(left) > 0 {
			t.Errorf("%s: left behind: %q", sig, left)
		}
	}
}
