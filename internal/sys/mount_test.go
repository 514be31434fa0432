package sys_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/safevma/safevma/internal/sys"
)

// A detached mount is what it says it is, is in no mount table, cannot be written
// through, and is gone when it is closed.
func TestDetachedMount(t *testing.T) {
	table := func() string {
		b, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	before := table()
	root, err := sys.DetachedMount("securityfs")
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.ENODEV) {
		t.Skipf("needs CAP_SYS_ADMIN, Linux 5.2 and securityfs: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	lsm, err := sys.OpenAt(int(root.Fd()), "lsm", sys.ORdonly)
	if err != nil {
		t.Fatal(err)
	}
	magic, err := sys.FileSystem(lsm)
	if lsm.Close(); err != nil || magic != sys.MagicSecurityfs {
		t.Errorf("file system %#x, %v", magic, err)
	}
	made := func() error {
		return syscall.Mkdirat(int(root.Fd()), "safevma", 0o700)
	}
	if err := made(); !errors.Is(err, syscall.EROFS) {
		t.Errorf("making a directory: %v, want EROFS", err)
	}
	if after := table(); after != before {
		t.Errorf("mounts before:\n%s\nafter:\n%s", before, after)
	}
}

func TestDetachedMountErrors(t *testing.T) {
	root, err := sys.DetachedMount("no-such-file-system")
	if err == nil {
		root.Close()
		t.Fatal("mounted")
	}
	if !errors.Is(err, syscall.ENODEV) && !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.ENOSYS) {
		t.Errorf("%v, want ENODEV", err)
	}
}
