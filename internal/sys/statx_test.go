package sys_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/safevma/safevma/internal/sys"
)

// A file without a name holds data, is in no directory, and is not on DAX unless its
// file system is: a memfd never is.
func TestTempFile(t *testing.T) {
	dir := t.TempDir()
	f, err := sys.TempFile(dir)
	if errors.Is(err, syscall.EOPNOTSUPP) {
		t.Skipf("the file system of %s can't: %v", dir, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := sys.Stat(f)
	if err != nil || st.Nlink != 0 {
		t.Errorf("%+v, %v; want no links", st, err)
	}
	if _, err := f.WriteString("data"); err != nil {
		t.Error(err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Errorf("in the directory: %v, %v", names, err)
	}
	if f, err := sys.TempFile("/proc"); err == nil {
		f.Close()
		t.Error("made in /proc")
	}
}

func TestDAXOfMemfd(t *testing.T) {
	f, err := sys.MemfdCreate("safevma-test", 0)
	if err != nil {
		t.Fatal(err)
	}
	on, known, err := sys.DAX(f)
	if f.Close(); err != nil || on {
		t.Errorf("%t, %t, %v", on, known, err)
	}
	if _, _, err := sys.DAX(f); err == nil {
		t.Error("of a closed file: no error")
	}
}
