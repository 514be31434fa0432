package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/safevma/safevma/kernel/tracefs"
	"github.com/safevma/safevma/watch/recording"
)

// A recording is whole when its terminal hangs up or a signal ends it, and no instance of
// tracefs is left.
func TestDAMONRecordSignals(t *testing.T) {
	instance, err := tracefs.New(tracefs.Options{})
	if err != nil {
		t.Skip(err)
	}
	if err := instance.Close(); err != nil {
		t.Fatal(err)
	}
	for sig, want := range map[syscall.Signal]int{syscall.SIGHUP: 129, syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		name := filepath.Join(t.TempDir(), "r")
		cmd := exec.Command("safevma", "damon", "record", "--out", name)
		var messages bytes.Buffer
		cmd.Stderr = &messages
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { info, err := os.Stat(name); return err == nil && info.Size() > 100 })
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != want {
			t.Errorf("%s: exit status %d, %q", sig, got, messages.String())
		}
		f, err := recording.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Each(func(recording.Entry) error { return nil }); err != nil || f.Damage != nil {
			t.Errorf("%s: %v, %v", sig, err, f.Damage)
		}
		if left, err := tracefs.Sweep(); err != nil || len(left) > 0 {
			t.Errorf("%s: left behind: %q, %v", sig, left, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A recording that is there is not written over.
func TestDAMONRecordExists(t *testing.T) {
	name := filepath.Join(t.TempDir(), "r")
	if err := os.WriteFile(name, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, status, err := damonCommand(t, "record", "--out", name)
	if status == exitNotMeasurable {
		t.Skip(err)
	}
	if text, _ := os.ReadFile(name); status != exitUsage || !errors.Is(err, os.ErrExist) || string(text) != "kept" {
		t.Errorf("status %d, %v, %q", status, err, text)
	}
}
