package memfd

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
)

func TestParseInfo(t *testing.T) {
	for _, c := range []struct {
		text string
		want fdInfo
		ok   bool
	}{
		{"pos:\t0\nflags:\t02100002\nmnt_id:\t15\nino:\t16565\n", fdInfo{ReadWrite, true, 16565}, true},
		{"pos:\t0\nflags:\t0100000\nmnt_id:\t15\n", fdInfo{ReadOnly, false, 0}, true},
		{"flags:\t012000000", fdInfo{PathOnly, true, 0}, true},
		{"flags:\t03", fdInfo{PathOnly, false, 0}, true},
		{"pos:\t0\nino:\t5\n", fdInfo{}, false},
		{"flags:\t09\n", fdInfo{}, false},
		{"flags:\t01\nino:\t-5\n", fdInfo{}, false},
		{"", fdInfo{}, false},
	} {
		got, err := parseInfo([]byte(c.text))
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("parseInfo(%q) = %+v, %v; want %+v, ok %v", c.text, got, err, c.want, c.ok)
		}
	}
}

// A descriptor that came to mean another file says nothing of the first one.
func TestChangedDescriptor(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "7", "fdinfo"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "7", "fdinfo", "3"), []byte("flags:\t02\nino:\t5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := process.At(root).Open(7)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if info, err := readInfo(p, "fdinfo/3", 5); err != nil || info.access != ReadWrite {
		t.Errorf("the same file: %+v, %v", info, err)
	}
	if info, err := readInfo(p, "fdinfo/3", 6); !errors.Is(err, errChanged) {
		t.Errorf("another file: %+v, %v", info, err)
	}
}

// A copy of another file, such as of another process that got the id, is not asked for
// seals in place of the right one.
func TestSealsOfAnotherFile(t *testing.T) {
	memfd := func() *os.File {
		f, err := sys.MemfdCreate(t.Name(), sys.MfdAllowSealing)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	right, wrong := memfd(), memfd()
	if err := sys.AddSeals(right, sys.SealGrow); err != nil {
		t.Fatal(err)
	}
	want, err := sys.Stat(right)
	if err != nil {
		t.Fatal(err)
	}
	other := func() (*os.File, error) { return sys.Reopen(wrong) }
	if _, err := sealsOf(other, &want); !errors.Is(err, errChanged) {
		t.Errorf("seals of another file: %v, want %v", err, errChanged)
	}
	if seals, err := readSeals(right, &want, []func() (*os.File, error){other}); err != nil || !seals.Has(SealGrow) {
		t.Errorf("seals %v, %v; want those of the right file", seals, err)
	}
}

func FuzzParseInfo(f *testing.F) {
	if b, err := os.ReadFile("/proc/self/fdinfo/0"); err == nil {
		f.Add(b)
	}
	f.Add([]byte("pos:\t0\nflags:\t02100002\nmnt_id:\t15\nino:\t16565\n"))
	f.Add([]byte("flags:\t037777777777\nino:"))
	f.Fuzz(func(t *testing.T, b []byte) {
		info, err := parseInfo(b)
		if err != nil && info != (fdInfo{}) {
			t.Errorf("%q: %+v with %v", b, info, err)
		}
		if info.access > PathOnly {
			t.Errorf("%q: access %d", b, info.access)
		}
	})
}

// Any path is cut to a name without panic, and what the kernel puts around a name is
// taken away exactly once.
func FuzzFileName(f *testing.F) {
	f.Add("x (deleted)")
	f.Add("/memfd:\xff\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, name string) {
		if got := fileName(memfdPrefix + name + deletedSuffix); got != name {
			t.Errorf("fileName of a memfd called %q is %q", name, got)
		}
		dev := Devices{Memfd: Device{0, 1}}
		if dev.Classify(0, 2, name) != None || dev.Classify(0, 1, memfdPrefix+name) != Memfd {
			t.Errorf("name %q changes the kind", name)
		}
	})
}
