package sys_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/safevma/safevma/internal/sys"
)

// What is there is read, up to where nothing is; from there on nothing is.
func TestProcessVMRead(t *testing.T) {
	size := os.Getpagesize()
	pages, err := sys.Mmap(2*size, sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapAnonymous, -1, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Munmap(pages)
	copy(pages[size-4:], "data")
	if err := sys.Mprotect(pages[size:], sys.ProtNone); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 8)
	if n, err := sys.ProcessVMRead(os.Getpid(), got, sys.Addr(pages)+uint64(size-4)); n != 4 || err != nil || string(got[:n]) != "data" {
		t.Errorf("%q, %d, %v", got, n, err)
	}
	if _, err := sys.ProcessVMRead(os.Getpid(), got, sys.Addr(pages)+uint64(size)); !errors.Is(err, syscall.EFAULT) {
		t.Errorf("without access: %v, want EFAULT", err)
	}
	if n, err := sys.ProcessVMRead(os.Getpid(), nil, 0); n != 0 || err != nil {
		t.Errorf("nothing: %d, %v", n, err)
	}
}
