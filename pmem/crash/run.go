package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Test is what [Run] needs of a *testing.T.
type Test interface {
	Helper()
	Name() string
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

const (
	// ReplayVariable is the environment variable that names a replay file: Run then recovers
	// that image alone.
	ReplayVariable = "SAFEVMA_CRASH_REPLAY"
	// ReportVariable names a folder into which Run writes its reports.
	ReportVariable = "SAFEVMA_CRASH_REPORT"
	// folder is where failures go, beside the test, as those of fuzzing do.
	folder = "testdata/crash"
)

// Run explores within a test, and ends the test where something is wrong. The replay file of
// a failure is written to testdata/crash.
func Run[S any](t Test, cfg Config, w Workload[S]) *Report {
	t.Helper()
	if file := os.Getenv(ReplayVariable); file != "" {
		replay(t, w, file)
		return nil
	}
	if cfg.Name == "" {
		cfg.Name = t.Name()
	}
	t.Logf("seed %d", cfg.Seed)
	if cfg.Progress == nil {
		cfg.Progress = func(p Progress) {
			t.Logf("%v, schedule %d, event %d of %d: %s states checked by %d recoveries in %v",
				p.Model, p.Schedule, p.Event, p.Events, p.States, p.Recoveries, p.Elapsed.Round(time.Second))
		}
	}
	report, err := Explore(context.Background(), cfg, w)
	if report == nil {
		t.Fatalf("%v", err)
		return nil
	}
	if err := writeReport(report); err != nil {
		t.Fatalf("%v", err)
	}
	if err == nil {
		t.Logf("%s", report)
		return report
	}
	t.Fatalf("%s%s", report, hint(t, report.Failure))
	return report
}

// hint says how to see a failure again.
func hint(t Test, f *Failure) string {
	if f == nil || f.Replay == nil {
		return ""
	}
	file, err := WriteReplay(folder, t.Name(), f.Replay)
	if err != nil {
		return fmt.Sprintf("\nno replay file: %v", err)
	}
	return fmt.Sprintf("\nto see it again:\n  %s=%s go test -run '%s' .", ReplayVariable, file, pattern(t.Name()))
}

// pattern is that of one test, with its parents, between the quotes of a shell.
func pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.ReplaceAll(strings.Join(parts, "/"), "'", `'\''`)
}

func replay[S any](t Test, w Workload[S], file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v", err)
		return
	}
	r, err := ParseReplay(text)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
		return
	}
	if err := RunReplay(w, r); errors.Is(err, ErrReplay) {
		t.Fatalf("%s: %v", file, err)
	} else if err != nil {
		t.Fatalf("%s: it still fails: %v\nas recorded:\n%v", file, err, r.Failure)
	}
	t.Logf("%s: this image recovers as it should", file)
}

var unfit = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

// WriteReplay writes a replay file into a folder, which it makes, and returns its name.
func WriteReplay(dir, name string, r *Replay) (string, error) {
	text, err := r.Marshal()
	if err != nil {
		return "", err
	}
	return write(dir, name, text)
}

func write(dir, name string, text []byte) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	file := filepath.Join(dir, unfit.ReplaceAllString(name, "_")+".json")
	return file, os.WriteFile(file, text, 0o644)
}

func writeReport(r *Report) error {
	dir := os.Getenv(ReportVariable)
	if dir == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	_, err = write(dir, r.Name, append(text, '\n'))
	return err
}
