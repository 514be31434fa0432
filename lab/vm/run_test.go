package vm_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/lab/labtest"
	"github.com/safevma/safevma/lab/vm"
	"github.com/safevma/safevma/lab/wire"
)

func TestMain(m *testing.M) { labtest.Main(m) }

const program = "github.com/safevma/safevma/lab/vm/testdata/program"

func TestEnds(t *testing.T) {
	lab := labtest.Lab(t)
	inside := labtest.Build(t, program)
	m := labtest.Start(t, lab, vm.Config{})
	tests := []struct {
		args string
		want wire.Answer
	}{
		{"exit 0", wire.Answer{}},
		{"exit 1", wire.Answer{Code: 1}},
		{"exit 2", wire.Answer{Code: 2}},
		{"exit 42", wire.Answer{Code: 42}},
		{"exit 255", wire.Answer{Code: 255}},
		{"kill 9", wire.Answer{Signal: 9}},
		{"kill 15", wire.Answer{Signal: 15}},
	}
	for _, tt := range tests {
		job, out := labtest.Job(inside, strings.Fields(tt.args)...)
		answer, err := m.Run(t.Context(), job)
		if answer != tt.want || err != nil {
			t.Errorf("%s: %+v, %v, want %+v\n%s", tt.args, answer, err, tt.want, out)
		}
	}
	job, _ := labtest.Job(inside)
	job.Path = "/nothing"
	if _, err := m.Run(t.Context(), job); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a program that is not there: %v", err)
	}
}

func TestGuestPanics(t *testing.T) {
	lab := labtest.Lab(t)
	m := labtest.Start(t, lab, vm.Config{})
	job, _ := labtest.Job(labtest.Build(t, program), "panic")
	_, err := m.Run(t.Context(), job)
	if !errors.Is(err, vm.ErrPanic) || !strings.Contains(err.Error(), "sysrq triggered crash") {
		t.Errorf("a panic of the kernel: %v", err)
	}
}

func TestHangEndsWithItsContext(t *testing.T) {
	lab := labtest.Lab(t)
	m := labtest.Start(t, lab, vm.Config{})
	ctx, stop := context.WithCancelCause(t.Context())
	hanging := make(chan struct{})
	job, _ := labtest.Job(labtest.Build(t, program), "hang")
	job.Stdout = writer(func(b []byte) (int, error) { close(hanging); return len(b), nil })
	go func() { <-hanging; stop(errors.New("enough")) }()
	if _, err := m.Run(ctx, job); err == nil || err.Error() != "enough" {
		t.Errorf("a program that hangs: %v", err)
	}
}

func TestSignalReachesTheProgram(t *testing.T) {
	lab := labtest.Lab(t)
	m := labtest.Start(t, lab, vm.Config{})
	hanging := make(chan struct{})
	job, out := labtest.Job(labtest.Build(t, program), "hang")
	job.Stdout = writer(func(b []byte) (int, error) { close(hanging); return len(b), nil })
	go func() { <-hanging; _ = m.Signal(syscall.SIGQUIT) }()
	answer, err := m.Run(t.Context(), job)
	if answer.Code != 2 || err != nil || !strings.Contains(out.String(), "SIGQUIT: quit") {
		t.Errorf("SIGQUIT: %+v, %v\n%s", answer, err, out)
	}
}

type writer func([]byte) (int, error)

// Write implements io.Writer.
func (w writer) Write(b []byte) (int, error) { return w(b) }

// A program whose output nobody reads any more ends as it would outside: of SIGPIPE, or
// by its own choice.
func TestClosedOutput(t *testing.T) {
	lab := labtest.Lab(t)
	inside := labtest.Build(t, program)
	m := labtest.Start(t, lab, vm.Config{})
	for word, want := range map[string]wire.Answer{"hearing": {Signal: int(syscall.SIGPIPE)}, "deaf": {Code: 7}} {
		job, _ := labtest.Job(inside, "endless", word)
		taken := 0
		job.Stdout = writer(func(b []byte) (int, error) {
			if taken += len(b); taken > 100_000 {
				return 0, syscall.EPIPE
			}
			return len(b), nil
		})
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		answer, err := m.Run(ctx, job)
		stop()
		if answer != want || err != nil {
			t.Errorf("%s: %+v, %v, want %+v", word, answer, err, want)
		}
	}
}

func TestOutputIsWholeAndOrphansEnd(t *testing.T) {
	lab := labtest.Lab(t)
	inside := labtest.Build(t, program)
	m := labtest.Start(t, lab, vm.Config{})
	const lines = 50_000
	if out := labtest.Run(t, m, inside, "big", "50000"); strings.Count(out, "\n") != lines || len(out) != lines*100 {
		t.Errorf("%d bytes, %d lines", len(out), strings.Count(out, "\n"))
	}
	labtest.Run(t, m, inside, "orphan") // returns, though the orphan holds the output
	labtest.Run(t, m, inside, "exit", "0")
}

func TestEnvironmentUserAndFiles(t *testing.T) {
	lab := labtest.Lab(t)
	inside := labtest.Build(t, program)
	m := labtest.Start(t, lab, vm.Config{})
	job, out := labtest.Job(inside, "environment")
	job.Env = append(job.Env, "GREETING=hello  there")
	job.Dir, job.UID, job.GID = "/tmp", 65534, 65534
	if _, err := m.Run(t.Context(), job); err != nil || out.String() != "/tmp 65534 hello  there\n" {
		t.Errorf("%q, %v", out, err)
	}

	to := t.TempDir()
	job, out = labtest.Job(inside, "leave", "/tmp/file", "/tmp/folder")
	job.Bring, job.BringTo = []string{"/tmp/file", "/tmp/folder", "/tmp/none"}, to
	if answer, err := m.Run(t.Context(), job); err != nil || answer.Code != 0 {
		t.Fatalf("%+v, %v, %s", answer, err, out)
	}
	for name, want := range map[string]string{"tmp/file": "from inside\n", "tmp/folder/deep/er": "deeper\n"} {
		if got, err := os.ReadFile(filepath.Join(to, name)); string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	// What could lead a later file elsewhere is refused.
	job, _ = labtest.Job(inside, "smuggle", "/tmp/link")
	job.Bring, job.BringTo = []string{"/tmp/link"}, to
	if _, err := m.Run(t.Context(), job); err == nil || !strings.Contains(err.Error(), "not asked for") {
		t.Errorf("a symbolic link was brought back: %v", err)
	}
}
