package sys_test

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/sys"
)

// A store to protected memory is told of with its address, and goes on when the protection ends.
func TestUserfaultfdFault(t *testing.T) {
	u, err := sys.NewUserfaultfd(sys.UffdFeatureWP)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	b, err := sys.Mmap(4096, sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapAnonymous, -1, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Munmap(b)
	b[0] = 1
	if err := errors.Join(u.RegisterWP(b), u.WriteProtect(b, true)); err != nil {
		t.Fatal(err)
	}
	if addr, ok, err := u.Fault(time.Millisecond); ok || err != nil {
		t.Errorf("nobody stores: %#x, %v, %v", addr, ok, err)
	}
	done := make(chan struct{})
	go func() { b[0] = 2; close(done) }()
	if addr, ok, err := u.Fault(time.Minute); addr != sys.Addr(b) || !ok || err != nil {
		t.Errorf("a store: %#x, %v, %v, want %#x", addr, ok, err, sys.Addr(b))
	}
	if err := u.WriteProtect(b, false); err != nil {
		t.Fatal(err)
	}
	<-done
	if b[0] != 2 {
		t.Errorf("%d was stored, want 2", b[0])
	}
}
