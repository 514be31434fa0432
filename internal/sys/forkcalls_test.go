package sys_test

import (
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/safevma/safevma/internal/sys"
)

// A child that dies of a fault leaves no core dump, whatever the limit; one that makes itself
// dumpable again leaves one, where this host lets it.
func TestForkCallsDumpsNoCore(t *testing.T) {
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil {
		t.Skip(err)
	}
	if p := strings.TrimSpace(string(pattern)); p == "" || strings.ContainsAny(p, "|/@") {
		t.Skipf("core dumps of this host go elsewhere: %q", p)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &limit); err != nil || limit.Max == 0 {
		t.Skipf("no core dumps here: %+v, %v", limit, err)
	}
	before := limit
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &limit); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_CORE, &before)
	t.Chdir(t.TempDir())
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	fault := sys.RawCall{Number: sys.CallLoad, Args: [6]uintptr{0x8000}}
	dumpable := sys.RawCall{Number: sys.CallPrctl, Args: [6]uintptr{sys.PrSetDumpable, 1}}
	for _, test := range []struct {
		calls []sys.RawCall
		cores int
	}{{[]sys.RawCall{fault}, 0}, {[]sys.RawCall{dumpable, fault}, 1}} {
		status, err := sys.ForkCalls(test.calls)
		if err != nil {
			t.Fatal(err)
		}
		files, err := os.ReadDir(".")
		if err != nil {
			t.Fatal(err)
		}
		if status.Signal() != syscall.SIGSEGV || len(files) != test.cores {
			t.Errorf("after %d calls: status %#x, %d core dumps, want SIGSEGV and %d", len(test.calls), status, len(files), test.cores)
		}
	}
}
