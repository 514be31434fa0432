package region_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/region"
)

const (
	cageOf  = "SAFEVMA_REGION_CAGE"  // what is different in the child
	cagedIn = "SAFEVMA_REGION_CAGED" // that it is so by now
)

// cages are places where not all is as it is outside, as containers have them.
var cages = map[string]struct {
	enter func() error       // in the child, before it starts itself once more; all threads have it then
	clone uintptr            // namespaces of the child
	start func() error       // in the child that was started
	lives func(t *testing.T) // what must hold there
}{
	"another PID namespace, the same /proc": {clone: sys.NewUser | sys.NewPID, lives: allVerified},
	"a process that locks all its memory":   {start: func() error { return sys.Mlockall(syscall.MCL_CURRENT | syscall.MCL_FUTURE) }, lives: lockedVerified},
	"all memory locked, and munlock: EPERM": {enter: refusing("munlock", syscall.EPERM),
		start: func() error { return sys.Mlockall(syscall.MCL_CURRENT | syscall.MCL_FUTURE) }, lives: lockedVerified},
	"memory locked on first touch": {start: func() error { return sys.Mlockall(syscall.MCL_CURRENT | syscall.MCL_FUTURE | 4) },
		lives: func(t *testing.T) { allHold(t, region.Secret(), region.Guarded()) }},
	"process_vm_readv: EPERM": {enter: refusing("process_vm_readv", syscall.EPERM), lives: func(t *testing.T) { allHold(t, locked()...) }},
	"memfd_create: EPERM":     {enter: refusing("memfd_create", syscall.EPERM), lives: withoutMemfds},
	"memfd_create: ENOSYS":    {enter: refusing("memfd_create", syscall.ENOSYS), lives: withoutMemfds},
	"memfd_secret: EPERM":     {enter: refusing("memfd_secret", syscall.EPERM), lives: refused(region.Secret(), syscall.EPERM, "forbidden")},
	"memfd_secret: ENOSYS":    {enter: refusing("memfd_secret", syscall.ENOSYS), lives: refused(region.Secret(), syscall.ENOSYS, "no secret memory")},
	"mseal: EPERM":            {enter: refusing("mseal", syscall.EPERM), lives: refused(region.Sealed(), syscall.EPERM, "forbidden")},
	"mseal: ENOSYS":           {enter: refusing("mseal", syscall.ENOSYS), lives: refused(region.Sealed(), syscall.ENOSYS, "6.10")},
	"no /proc":                {clone: sys.NewUser | sys.NewNS, start: hideProc, lives: withoutProc},
}

// A region in a cage is as outside, or is refused with the reason.
func TestCages(t *testing.T) {
	for name := range cages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestCaged$", "-test.v")
			cmd.Env = append(os.Environ(), cageOf+"="+name)
			cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			if clone := cages[name].clone; clone != 0 {
				cmd.SysProcAttr.Cloneflags = clone
				cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
				cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
			}
			out, err := cmd.CombinedOutput()
			switch failed := new(exec.ExitError); {
			case errors.As(err, &failed):
				t.Errorf("%v\n%s", err, out)
			case err != nil:
				t.Skip("no such cage here: ", err)
			case strings.Contains(string(out), "--- SKIP"):
				t.Skipf("%s", out)
			}
		})
	}
}

func TestCaged(t *testing.T) {
	cage, ok := cages[os.Getenv(cageOf)]
	if !ok {
		return // it is for the test above
	}
	if cage.enter != nil && os.Getenv(cagedIn) == "" {
		runtime.LockOSThread()
		if err := cage.enter(); err != nil {
			t.Skip(err)
		}
		t.Fatal(syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), cagedIn+"=1")))
	}
	if cage.start != nil {
		if err := cage.start(); err != nil {
			t.Skip(err)
		}
	}
	cage.lives(t)
}

// refusing loads a filter that answers a call with an errno.
func refusing(call string, errno syscall.Errno) func() error {
	return func() error {
		if err := sys.NoNewPrivileges(); err != nil {
			return err
		}
		_, err := sys.LoadFilter([]sys.Instruction{
			{Code: 0x20}, // the number of the call
			{Code: 0x15, K: sys.CallNumbers[call], Jf: 1},
			{Code: 0x06, K: sys.SeccompErrno | uint32(errno)},
			{Code: 0x06, K: sys.SeccompAllow},
		}, false)
		return err
	}
}

// hideProc mounts an empty directory over /proc, in a mount namespace of its own.
func hideProc() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	return syscall.Mount("none", "/proc", "tmpfs", 0, "")
}

// judged says what Verify says that does not hold.
func judged(t *testing.T, options ...region.Option) (verdicts []guarantee.Verdict) {
	t.Helper()
	r := mapped(t, 5000, options...)
	verdicts, err := r.Verify()
	if err != nil {
		t.Fatal(err)
	}
	for i := range verdicts {
		t.Logf("%s: %s: %s; %s", verdicts[i].Rule, verdicts[i].Status, verdicts[i].Message, verdicts[i].Control.Detail)
	}
	return verdicts
}

func allHold(t *testing.T, options ...region.Option) {
	t.Helper()
	for _, v := range judged(t, options...) {
		if v.Status != guarantee.Holds && v.Status != guarantee.NotApplicable {
			t.Errorf("%s: %s: %s; %s", v.Rule, v.Status, v.Message, v.Control.Detail)
		}
	}
}

func locked() []region.Option {
	return []region.Option{region.Resident(), region.Guarded(), region.NoDump(), region.NoFork(), region.NoExec(), region.NoMerge()}
}

func allVerified(t *testing.T) {
	allHold(t, locked()...)
	allHold(t, region.ReadOnlyUntilClose(func([]byte) error { return nil }), region.Guarded())
	allHold(t, region.Windowed(), region.WipeOnFork())
	allHold(t, region.Secret(), region.Guarded())
}

func lockedVerified(t *testing.T) {
	allVerified(t)
	allHold(t, region.NoSwap(), region.WipeOnFork())
}

// withoutMemfds: what needs none of them holds, and what does is refused by name.
func withoutMemfds(t *testing.T) {
	allHold(t, locked()...)
	allHold(t, region.Windowed(), region.WipeOnFork())
	_, err := region.Map(100, region.ReadOnly(func([]byte) error { return nil }))
	if e := new(region.Error); !errors.As(err, &e) || e.Guarantee != "ReadOnly" || !errors.Is(err, region.ErrUnsupported) {
		t.Errorf("read-only: %v", err)
	}
	for _, v := range judged(t, region.Secret()) {
		if v.Status == guarantee.Broken {
			t.Errorf("%s: %s: %v", v.Rule, v.Message, v.Observation.Raw)
		}
	}
}

// refused: it is said which guarantee can't be had, the errno of the kernel, and why; all else is
// as ever.
func refused(o region.Option, errno syscall.Errno, why string) func(t *testing.T) {
	return func(t *testing.T) {
		_, err := region.Map(100, o)
		e := new(region.Error)
		if !errors.As(err, &e) || !errors.Is(err, region.ErrUnsupported) || !errors.Is(err, errno) ||
			e.Guarantee != fmt.Sprint(o) || !strings.Contains(e.Reason, why) {
			t.Errorf("got %v, want %v", err, why)
		}
		allHold(t, locked()...)
	}
}

// withoutProc: memory is as ever, and that it can't be looked at is said.
func withoutProc(t *testing.T) {
	r := mapped(t, 100, locked()...)
	if _, err := r.Verify(); !errors.Is(err, region.ErrUnsupported) {
		t.Error(err)
	}
	if err := r.Check(); err != nil {
		t.Error(err)
	}
	if _, err := region.NewBudget(1 << 20); !errors.Is(err, region.ErrUnsupported) {
		t.Error(err)
	}
	t.Setenv("SAFEVMA_REGION_VALUE", "value")
	if _, err := region.ReadEnvironment("SAFEVMA_REGION_VALUE"); !errors.Is(err, region.ErrUnsupported) ||
		os.Getenv("SAFEVMA_REGION_VALUE") != "value" {
		t.Error(err)
	}
}
