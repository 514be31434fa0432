package region_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/safevma/safevma/internal/memsearch"
	"github.com/safevma/safevma/region"
)

// A secret from a file is in the region, and nowhere else in the process. The control: os.ReadFile
// leaves it on the Go heap.
func TestReadFile(t *testing.T) {
	name, needle := secretFile(t, 100)
	if hits := find(t, needle); len(hits) != 0 {
		t.Fatalf("before, it is at %v", hits)
	}
	r, err := region.ReadFile(name, 4096, region.Guarded())
	if err != nil {
		t.Fatal(err)
	}
	if r.Size() != 100 {
		t.Errorf("%d bytes", r.Size())
	}
	onlyIn(t, r, needle)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if hits := find(t, needle); len(hits) != 0 {
		t.Errorf("after Close, it is at %v", hits)
	}
	ordinary, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if hits := find(t, needle); len(hits) == 0 {
		t.Error("the control: it is nowhere")
	}
	runtime.KeepAlive(ordinary)
}

// secretFile makes a file of random bytes, and returns what to search for.
func secretFile(t *testing.T, n int) (string, memsearch.Needle) {
	t.Helper()
	b := make([]byte, n)
	rand.Read(b)
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	needle := memsearch.Of(b[:16])
	clear(b)
	return name, needle
}

func find(t *testing.T, needle memsearch.Needle) []memsearch.Hit {
	t.Helper()
	hits, err := needle.Find()
	if err != nil {
		t.Fatal(err)
	}
	return hits
}

func onlyIn(t *testing.T, r *region.Region, needle memsearch.Needle) {
	t.Helper()
	if hits := find(t, needle); len(hits) != 1 || !hits[0].In(r.Bytes()) {
		t.Errorf("it is at %v", hits)
	}
}

// What is of another size than allowed is refused, and nothing is left of it.
func TestReadSizes(t *testing.T) {
	for _, tt := range []struct {
		size, most int
		ok         bool
	}{{1, 1, true}, {5, 5, true}, {5, 4, false}, {0, 5, false}, {5, 0, false}, {4096, 4096, true}, {70000, 1 << 20, true}} {
		text := bytes.Repeat([]byte{'x'}, tt.size)
		name := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		readAs(t, "file", text, tt.ok)(region.ReadFile(name, tt.most))
		readAs(t, "windowed", text, tt.ok)(region.ReadFile(name, tt.most, region.Windowed()))
		if tt.size > 65536 {
			continue // more than a pipe takes
		}
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write(text); err != nil {
			t.Fatal(err)
		}
		out.Close()
		readAs(t, "pipe", text, tt.ok)(region.ReadFrom(in, tt.most))
		in.Close()
	}
	_, err := region.ReadFile(filepath.Join(t.TempDir(), "none"), 10)
	if !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	own := new(region.Error)
	if _, err = region.ReadFile(t.TempDir(), 10); !errors.Is(err, syscall.EISDIR) || !errors.As(err, &own) {
		t.Error("a directory: ", err)
	}
}

func readAs(t *testing.T, what string, text []byte, ok bool) func(*region.Region, error) {
	return func(r *region.Region, err error) {
		t.Helper()
		if !ok {
			if r != nil || !errors.Is(err, region.ErrSize) {
				t.Errorf("%s of %d: %v", what, len(text), err)
			}
			return
		}
		if err != nil {
			t.Fatalf("%s of %d: %v", what, len(text), err)
		}
		if equal, err := r.Equal(text); !equal || err != nil || r.Size() != len(text) {
			t.Errorf("%s of %d: another text of %d, %v", what, len(text), r.Size(), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
