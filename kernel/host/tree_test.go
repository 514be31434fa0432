package host

import (
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"path/filepath"
	"testing"
)

// tree makes a directory with the given files, and a Reader whose roots all lie in it.
func tree(t *testing.T, files map[string]string) *Reader {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := New(filepath.Join(root, "proc"), filepath.Join(root, "sys"))
	r.Dev = filepath.Join(root, "dev")
	r.Boot = filepath.Join(root, "boot")
	r.Modules = filepath.Join(root, "modules")
	return r
}

// readAll reads the facts and lists them by name.
func readAll(t *testing.T, r *Reader) (*Facts, map[string]Fact) {
	t.Helper()
	f, err := r.Read(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]Fact{}
	for fact := range f.All() {
		if _, twice := byName[fact.Name]; twice {
			t.Errorf("two facts are called %s", fact.Name)
		}
		byName[fact.Name] = fact
	}
	return f, byName
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
