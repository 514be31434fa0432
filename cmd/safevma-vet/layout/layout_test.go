package layout_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"

	"github.com/safevma/safevma/cmd/safevma-vet/layout"
)

func testdata(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../testdata")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func set(t *testing.T, name string) {
	t.Helper()
	if err := layout.Analyzer.Flags.Set(name, "true"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { layout.Analyzer.Flags.Set(name, "false") })
}

// Each package has what must be found, and beside it what looks like it and is correct.
func TestFound(t *testing.T) {
	analysistest.Run(t, testdata(t), layout.Analyzer, "plain", "generic", "same", "changed", "broken", "unlocked")
}

func TestRequire(t *testing.T) {
	set(t, "require")
	analysistest.Run(t, testdata(t), layout.Analyzer, "required", "same", "volatile")
}

// What update writes is what is committed beside the package, and nothing is found then.
func TestUpdate(t *testing.T) {
	gopath := t.TempDir()
	if err := os.CopyFS(gopath, os.DirFS(testdata(t))); err != nil {
		t.Fatal(err)
	}
	want := read(t, filepath.Join(gopath, "src/same", layout.File))
	for _, state := range []string{"missing", "old", "current"} {
		name := filepath.Join(gopath, "src/same", layout.File)
		switch state {
		case "missing":
			remove(t, name)
		case "old":
			if err := os.WriteFile(name, []byte("other\t.\tstruct\t0\t8\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		rewrite(t, gopath, "same")
		if got := read(t, name); got != want {
			t.Errorf("%s: update wrote\n%s\nwant\n%s", state, got, want)
		}
	}
	analysistest.Run(t, gopath, layout.Analyzer, "same")
}

// A package that keeps no types gets no file, and loses one that it had.
func TestUpdateOfNothing(t *testing.T) {
	gopath := t.TempDir()
	if err := os.CopyFS(gopath, os.DirFS(testdata(t))); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(gopath, "src/volatile", layout.File)
	rewrite(t, gopath, "volatile")
	if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
		t.Error("a file was written:", err)
	}
	if err := os.WriteFile(name, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	rewrite(t, gopath, "volatile")
	if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
		t.Error("the file is still there:", err)
	}
}

func rewrite(t *testing.T, gopath, pkg string) {
	t.Helper()
	t.Run("update", func(t *testing.T) {
		set(t, "update")
		analysistest.Run(t, gopath, layout.Analyzer, pkg)
	})
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}
