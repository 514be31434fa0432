package region_test

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/region"
)

const (
	limitedChild  = "SAFEVMA_REGION_LIMITED"
	rlimitMemlock = 8 // RLIMIT_MEMLOCK of include/uapi/asm-generic/resource.h, which syscall does not name
	limitedPages  = 8
)

// The limit on locked memory holds for ordinary users alone, so the test runs itself again as
// one, with a limit of eight pages.
func TestLimits(t *testing.T) {
	if os.Getenv(limitedChild) != "" {
		limited(t)
		return
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestLimits$", "-test.v")
	cmd.Env = append(os.Environ(), limitedChild+"=1")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Skip("another user can't be had: ", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func limited(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Fatal("root has no limit")
	}
	limit(t, limitedPages*4096)
	for name, options := range map[string][]region.Option{
		"Resident":         {region.Resident()},
		"Resident guarded": {region.Resident(), region.Guarded()},
		"Secret":           {region.Secret(), region.Guarded()},
		"NoSwap":           {region.NoSwap(), region.Guarded()},
	} {
		t.Run(name, func(t *testing.T) {
			before := mappings(t)
			for range 2 { // the second time nothing is lost of the first
				exhaust(t, options)
			}
			if after := mappings(t); after > before+8 {
				t.Errorf("%d mappings, before it were %d", after, before)
			}
		})
	}
	unmeasurable(t)
	limit(t, 0)
	for _, option := range []region.Option{region.Resident(), region.NoSwap(), region.Secret()} {
		if _, err := region.Map(1, option); !errors.Is(err, region.ErrLimit) && !errors.Is(err, region.ErrUnsupported) {
			t.Errorf("with a limit of 0: %v", err)
		}
	}
}

func limit(t *testing.T, bytes uint64) {
	t.Helper()
	if err := syscall.Setrlimit(rlimitMemlock, &syscall.Rlimit{Cur: bytes, Max: bytes}); err != nil {
		t.Fatal(err)
	}
}

// exhaust maps one page at a time until the limit says no. Guards cost nothing of it.
func exhaust(t *testing.T, options []region.Option) {
	t.Helper()
	var regions []*region.Region
	var err error
	for len(regions) <= limitedPages {
		var r *region.Region
		if r, err = region.Map(4096, options...); err != nil {
			break
		}
		r.Bytes()[0] = 1
		regions = append(regions, r)
	}
	if errors.Is(err, region.ErrUnsupported) {
		t.Skip(err)
	}
	var e *region.Error
	if len(regions) != limitedPages || !errors.Is(err, region.ErrLimit) || !errors.As(err, &e) || e.Guarantee == "" {
		t.Errorf("%d pages, then %v; want %d, then a limit", len(regions), err, limitedPages)
	}
	for i, r := range regions {
		if i < 2 {
			holds(t, r)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A process that nobody may look at can't look at all of itself either: what it does not see is
// unknown, and nothing is broken for that.
func unmeasurable(t *testing.T) {
	if err := sys.Undumpable(); err != nil {
		t.Fatal(err)
	}
	unknown := 0
	for _, options := range [][]region.Option{
		{region.Resident(), region.NoFork(), region.Guarded()},
		{region.Secret()},
		{region.ReadOnlyUntilClose(func([]byte) error { return nil })},
	} {
		r, err := region.Map(4096, options...)
		if errors.Is(err, region.ErrUnsupported) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		verdicts, err := r.Verify()
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range verdicts {
			if v.Status == guarantee.Broken {
				t.Errorf("%s: %s: %q", v.Rule, v.Message, v.Observation.Raw)
			}
			if v.Status == guarantee.Unknown {
				unknown++
				t.Logf("%s: %s", v.Rule, v.Message)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if unknown == 0 {
		t.Error("all is known of a process that can't be looked at")
	}
}
