package mutation

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
)

var (
	update = flag.Bool("update", false, "write the lines of docs/pmem/mutation.md anew, of the mutants that ran")
	only   = flag.String("mutants", "", "run those whose names match, and not all: a regular expression")
)

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Each mutant says what it changes, and that is still there: a table that rots shows nothing.
func TestMutantsAreCurrent(t *testing.T) {
	names := map[string]bool{}
	for _, m := range All() {
		if names[m.Name] || m.Name == "" || m.Breaks == "" || len(m.Edits) == 0 {
			t.Errorf("mutant %q is there twice, or says nothing", m.Name)
		}
		names[m.Name] = true
		if _, err := m.Files(filepath.Join(root(t), "pmem")); err != nil {
			t.Error(err)
		}
	}
}

// The control: an edit whose text is gone, or stands twice, is an error.
func TestRottenMutant(t *testing.T) {
	for _, old := range []string{"what is nowhere", "return"} {
		m := one("rotten", "nothing", "append.go", old, "x")
		if _, err := m.Files(filepath.Join(root(t), "pmem")); err == nil {
			t.Errorf("%q was taken", old)
		}
	}
}

func TestExplain(t *testing.T) {
	for out, want := range map[string][2]string{
		"--- FAIL: TestA (0.1s)\n    --- FAIL: TestA/b (0.1s)\n        a_test.go:3: lost\nFAIL": {"TestA/b", "lost"},
		"panic: test timed out after 1s\n\trunning tests:\n\t\tTestC (1s)\n":                    {"TestC", "it does not end"},
	} {
		if by, why := explain(out); by != want[0] || why != want[1] {
			t.Errorf("%q: %q, %q", out, by, why)
		}
	}
}

// The document is what a run writes, of mutants as they are now, and none of them was missed.
func TestDocument(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root(t), "docs/pmem/mutation.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	if Table(nil, text) != text || strings.Contains(text, "**nothing**") {
		t.Error("docs/pmem/mutation.md is not what a run writes that misses no mutant: run it again with -update")
	}
	for _, m := range All() {
		if strings.Contains(text, "\n| "+m.Name+" |") && !strings.Contains(text, "\n| "+m.Name+" | "+m.Breaks+" | ") {
			t.Errorf("docs/pmem/mutation.md says something else of %q: run it with -update -mutants '^%s$'", m.Name, m.Name)
		}
	}
}

// Each mutant is caught by a test, but for those that say why not; and without one all tests pass.
func TestMutants(t *testing.T) {
	if os.Getenv("SAFEVMA_NIGHTLY") == "" {
		t.Skip("set SAFEVMA_NIGHTLY=1 for it: it takes a quarter of an hour")
	}
	r := Runner{root(t), t.TempDir()}
	leaveNothing(t, r.Root)
	control, err := r.Run(t.Context(), Mutant{Name: "control"})
	if err != nil || control.By != "" {
		t.Fatalf("without a mutant: %v, %s: %s", err, control.By, control.Why)
	}
	results := runAll(t, r, chosen(t))
	for _, one := range results {
		switch {
		case one.Name == "": // it did not run
		case one.By == "" && one.Survives == "":
			t.Errorf("%s: no test fails without it: %s", one.Name, one.Breaks)
		case one.By != "" && one.Survives != "":
			t.Errorf("%s: caught by %s, and said to survive", one.Name, one.By)
		}
	}
	if *update {
		path := filepath.Join(r.Root, "docs/pmem/mutation.md")
		before, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(Table(results, string(before))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// leaveNothing removes what tests that fail write beside themselves, to be replayed.
func leaveNothing(t *testing.T, root string) {
	t.Helper()
	for _, k := range []Killer{Explorer, Units} {
		dir := filepath.Join(root, k.Package, "testdata")
		if _, err := os.Stat(dir); os.IsNotExist(err) {
			t.Cleanup(func() { os.RemoveAll(dir) })
		}
	}
}

func chosen(t *testing.T) (all []Mutant) {
	t.Helper()
	pattern, err := regexp.Compile(*only)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range All() {
		if pattern.MatchString(m.Name) {
			all = append(all, m)
		}
	}
	return all
}

// runAll runs some mutants at a time: one more than there are processors, since some of them hang.
func runAll(t *testing.T, r Runner, all []Mutant) []Result {
	t.Helper()
	results := make([]Result, len(all))
	turn := make(chan struct{}, runtime.NumCPU()+1)
	var wait sync.WaitGroup
	for i, m := range all {
		turn <- struct{}{}
		wait.Go(func() {
			defer func() { <-turn }()
			var err error
			if results[i], err = r.Run(context.WithoutCancel(t.Context()), m); err != nil {
				t.Error(err)
				return // it shows nothing, and has no line
			}
			t.Logf("%s: %q %s", m.Name, results[i].By, results[i].Why)
		})
	}
	wait.Wait()
	return results
}
