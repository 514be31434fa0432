package mutation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Killer is a package whose tests look for mutants.
type Killer struct {
	Package string // from the root of the module
	Limit   time.Duration
}

// Explorer and Units are the killers: what a crash may leave, and all else. The limits are several
// times what their tests take beside each other: a mutant that is slow is not caught.
var (
	Explorer = Killer{"./pmem/workload", 5 * time.Minute}
	Units    = Killer{"./pmem", 3 * time.Minute}
)

// Result is what became of a mutant.
type Result struct {
	Mutant
	By  string // the test that caught it, or empty
	Why string // the first line of what it said
}

// ErrBuild reports a mutant that is no program: that shows nothing.
var ErrBuild = errors.New("the mutant does not compile")

// Runner runs the tests of a module with a part of it replaced.
type Runner struct {
	Root    string // of the module
	Scratch string // a folder for overlays
}

// Run looks for a mutant until a killer catches it.
func (r Runner) Run(ctx context.Context, m Mutant) (Result, error) {
	overlay, err := r.overlay(m)
	if err != nil {
		return Result{}, err
	}
	killers := []Killer{Explorer, Units}
	if m.Later {
		killers = []Killer{Units, Explorer}
	}
	for _, k := range killers {
		by, why, err := r.kill(ctx, overlay, k)
		if err != nil {
			return Result{}, fmt.Errorf("mutant %q: %w", m.Name, err)
		}
		if by != "" {
			return Result{m, by, why}, nil
		}
	}
	return Result{Mutant: m}, nil
}

// overlay writes what the go command reads in place of the files of a mutant.
func (r Runner) overlay(m Mutant) (string, error) {
	pmem := filepath.Join(r.Root, "pmem")
	files, err := m.Files(pmem)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(r.Scratch, "mutant")
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(pmem, name)] = path
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, b, 0o600)
}

var (
	failedTest  = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	runningTest = regexp.MustCompile(`running tests:\n\s+(\S+)`)
	stackedTest = regexp.MustCompile(`safevma/pmem(?:/workload|_test)?\.(Test\w+)`)
	message     = regexp.MustCompile(`(?m)^\s+\w+\.go:\d+: (.+)`)
)

// kill runs the tests of a killer, and returns which one failed, and what it said.
func (r Runner) kill(ctx context.Context, overlay string, k Killer) (by, why string, err error) {
	ctx, cancel := context.WithTimeout(ctx, k.Limit+2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-overlay", overlay, "-vet=off", "-ldflags=-s -w", "-short", "-failfast", "-count=1", "-timeout", k.Limit.String(), k.Package)
	cmd.Dir = r.Root
	cmd.Env = append(os.Environ(), "SAFEVMA_NIGHTLY=")
	b, err := cmd.CombinedOutput()
	out := string(b)
	switch {
	case err == nil:
		return "", "", nil
	case strings.Contains(out, "[build failed]") || strings.Contains(out, "[setup failed]"):
		return "", "", fmt.Errorf("%w:\n%s", ErrBuild, out)
	case ctx.Err() != nil:
		return "", "", ctx.Err()
	}
	by, why = explain(out)
	if by == "" {
		return "", "", fmt.Errorf("the tests of %s failed, and none of them did:\n%s", k.Package, out)
	}
	return strings.TrimPrefix(k.Package, "./") + " " + by, why, nil
}

// explain finds the test that failed, and its first message, in what go test says.
func explain(out string) (by, why string) {
	if all := failedTest.FindAllStringSubmatch(out, -1); len(all) > 0 {
		by = all[0][1]
		for _, one := range all { // the subtest
			if strings.HasPrefix(one[1], by) {
				by = one[1]
			}
		}
		if m := message.FindStringSubmatch(out); m != nil {
			why = m[1]
		}
	}
	if m := runningTest.FindStringSubmatch(out); m != nil {
		return m[1], "it does not end"
	}
	for _, line := range strings.Split(out, "\n") {
		if strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") {
			if m := stackedTest.FindStringSubmatch(out); m != nil && by == "" {
				by = m[1]
			}
			return by, line
		}
	}
	return by, why
}
