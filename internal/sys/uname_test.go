package sys_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/safevma/safevma/internal/sys"
)

func TestUname(t *testing.T) {
	u, err := sys.Uname()
	if err != nil {
		t.Fatal(err)
	}
	for file, got := range map[string]string{"ostype": u.System, "hostname": u.Node, "osrelease": u.Release, "version": u.Version} {
		b, err := os.ReadFile("/proc/sys/kernel/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.TrimSuffix(string(b), "\n"); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}

// The capability module is always active; there are no more modules than ids.
func TestLSMs(t *testing.T) {
	ids, err := sys.LSMs()
	if errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EPERM) {
		t.Skipf("needs Linux 6.8: %v", err)
	}
	const capability = 100
	seen := map[uint64]bool{}
	for _, id := range ids {
		if seen[id] || id < capability {
			t.Errorf("id %d in %v", id, ids)
		}
		seen[id] = true
	}
	if err != nil || !seen[capability] {
		t.Errorf("%v, %v", ids, err)
	}
}

// A key that was had can be given back once; where there are none, the errno says so.
func TestPkey(t *testing.T) {
	key, err := sys.PkeyAlloc(sys.PkeyDisableAccess)
	if err != nil {
		if !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.ENOSYS) && !errors.Is(err, syscall.EPERM) {
			t.Error(err)
		}
		t.Skipf("no protection keys: %v", err)
	}
	if err := sys.PkeyFree(key); err != nil {
		t.Error(err)
	}
	if err := sys.PkeyFree(key); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("giving it back twice: %v, want EINVAL", err)
	}
}
