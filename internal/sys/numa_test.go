package sys_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/safevma/safevma/internal/sys"
)

// There is a node 0, and on no machine that this is tested on a node 63.
func TestBindNode(t *testing.T) {
	page, err := sys.Mmap(os.Getpagesize(), sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapAnonymous, -1, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Munmap(page)
	err = sys.BindNode(page, 0)
	if errors.Is(err, syscall.ENOSYS) {
		t.Skipf("needs a kernel with NUMA: %v", err)
	}
	if err != nil {
		t.Error(err)
	}
	if err := sys.BindNode(page, 63); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("node 63: %v, want EINVAL", err)
	}
}
