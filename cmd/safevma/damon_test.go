package main

import (
	"bytes"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/damon"
	"github.com/safevma/safevma/kernel/process"
)

// What is written of a kernel as it is with 6.18 keeps the schema, also where there is no
// DAMON.
func TestDAMONSchema(t *testing.T) {
	text, err := os.ReadFile("../../kernel/damon/testdata/tree-6.18.txt")
	if err != nil {
		t.Fatal(err)
	}
	f := damon.At(t.TempDir())
	for line := range strings.Lines(string(text)) {
		name, content, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " =")
		path := filepath.Join(f.Admin(), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.TrimPrefix(content, " ")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := f.Status(process.Default())
	if err != nil {
		t.Fatal(err)
	}
	s.Window = guarantee.Since(time.Now())
	var b bytes.Buffer
	if err := s.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	if err := validate("damon-v1", b.String()); err != nil {
		t.Error(err)
	}
}

// damonTree is what the kernel's tree says, whole; without what the kernel counts by itself
// where it was told to.
func damonTree(t *testing.T) map[string]string {
	t.Helper()
	root := damon.Default().Admin()
	files, counts := map[string]string{}, false
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, root)] = string(text)
		counts = counts || d.Name() == "refresh_ms" && string(text) != "0\n"
		return err
	})
	if os.IsNotExist(err) || os.IsPermission(err) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if counts {
		maps.DeleteFunc(files, func(name, _ string) bool {
			return strings.Contains(name, "/stats/") || strings.Contains(name, "/tried_regions/") || strings.HasSuffix(name, "effective_bytes") ||
				strings.HasSuffix(name, "sample_us") || strings.HasSuffix(name, "aggr_us")
		})
	}
	return files
}

// No command changes anything of what watches here, whoever it is: the whole tree is the
// same before and after each.
func TestDAMONReadsOnly(t *testing.T) {
	before := damonTree(t)
	for _, args := range [][]string{{"status"}, {"status", "--output", "json"}, {"lint"}, {"lint", "live", "--output", "json"},
		{"explain"}, {"explain", "anon", "old", "--output", "json"}} {
		var b bytes.Buffer
		root := newRoot()
		root.SetArgs(append([]string{"damon"}, args...))
		root.SetOut(&b)
		root.SetErr(io.Discard)
		if err := root.Execute(); err != nil && err.(*exit).status != exitFindings {
			t.Errorf("%v: %v", args, err)
		}
		if b.Len() == 0 {
			t.Errorf("%v says nothing", args)
		}
		if after := damonTree(t); !maps.Equal(before, after) {
			t.Fatalf("%v: before\n%v\nafter\n%v", args, before, after)
		}
	}
}
