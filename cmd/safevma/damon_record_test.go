package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/safevma/safevma/kernel/tracefs"
	"github.com/safevma/safevma/watch/access"
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

// Kdamonds that begin while it is recorded, one after the other, are known before what they
// tell, and told apart.
func TestDAMONRecordRestart(t *testing.T) {
	freeDAMON(t)
	name := filepath.Join(t.TempDir(), "r")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var snapshots atomic.Uint64
	done := make(chan error, 1)
	go func() {
		_, err := access.Record(ctx, access.RecordOptions{Name: name, Program: "test", Progress: func(p access.Progress) { snapshots.Store(p.Snapshots) }})
		done <- err
	}()
	waitFor(t, func() bool { info, err := os.Stat(name); return err == nil && info.Size() > 100 })
	for range 2 {
		before := snapshots.Load()
		if _, _, err := damonCommand(t, "start", strconv.Itoa(os.Getpid())); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return snapshots.Load() > before })
		if _, _, err := damonCommand(t, "stop"); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	f, err := recording.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	known, told := map[int]bool{}, map[int]bool{}
	if err := f.Each(func(e recording.Entry) error {
		switch e := e.(type) {
		case *recording.Setup:
			for _, c := range e.Contexts {
				known[c.Thread] = c.Intervals.Aggr > 0
			}
		case *recording.Snapshot:
			if told[e.Thread] = true; !known[e.Thread] {
				t.Errorf("thread %d tells, and nobody has said how it watches", e.Thread)
			}
		}
		return nil
	}); err != nil || f.Damage != nil || len(told) != 2 {
		t.Errorf("%v, %v, threads %v", err, f.Damage, told)
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

// An import that a signal ends leaves no file.
func TestDAMONImportEnds(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	out := filepath.Join(t.TempDir(), "r")
	read := 0
	endless := reader(func(b []byte) (int, error) {
		if read++; read > 3 {
			stop()
		}
		return copy(b, "other\n"), nil
	})
	if _, err := importDAMON(ctx, endless, "-", out); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

type reader func(b []byte) (int, error)

func (r reader) Read(b []byte) (int, error) { return r(b) }
