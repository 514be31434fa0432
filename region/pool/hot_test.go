package pool

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"

	"github.com/safevma/safevma/region"
)

// What is done often allocates nothing on the Go heap, in windowed pools too.
func TestNoAllocations(t *testing.T) {
	for name, options := range map[string][]region.Option{"plain": nil, "windowed": {region.Windowed()}} {
		p := newPool(t, Options{Size: 64 << 10, Guarantees: options})
		o := p.Owner("mine", Quota{Secrets: 10})
		kept := alloc(t, p, 32)
		same := make([]byte, 32)
		steps := map[string]func() error{
			"Alloc, Free": func() error {
				s, err := o.Alloc(32)
				return errors.Join(err, s.Free())
			},
			"Read":  func() error { return kept.Read(func(b []byte) error { same[0] = b[0]; return nil }) },
			"Write": func() error { return kept.Write(func(b []byte) error { b[0] = 0; return nil }) },
			"Equal": func() error { _, err := kept.Equal(same); return err },
		}
		if options == nil && !region.Erases { // which notes what it has to erase
			sealed, err := p.Seal(make([]byte, 32))
			if err != nil {
				t.Fatal(err)
			}
			steps["Open, Free"] = func() error {
				s, err := sealed.Open(o)
				return errors.Join(err, s.Free())
			}
		}
		for step, do := range steps {
			var err error
			if n := testing.AllocsPerRun(200, func() { err = errors.Join(err, do()) }); n != 0 || err != nil {
				t.Errorf("%s, %s: %v allocations, %v", name, step, n, err)
			}
		}
	}
}

const hotVariable = "SAFEVMA_POOL_HOT"

// Allocating, using and freeing needs no system call: the thread that does it is killed at the
// first one. The control makes one. The Go runtime makes some when it has the thread give way, so
// there are several attempts, of a millisecond each.
func TestNoSystemCalls(t *testing.T) {
	if how := os.Getenv(hotVariable); how != "" {
		t.Error(withoutSystemCalls(t, how == "control")) // it does not return
		return
	}
	if out, err := hotChild(t, "control"); !killedBySeccomp(err) {
		t.Errorf("the control: %v: %s", err, out)
	}
	for range 10 {
		out, err := hotChild(t, "pool")
		if err == nil {
			return
		}
		if !killedBySeccomp(err) {
			t.Fatalf("%v: %s", err, out)
		}
	}
	t.Error("it was killed each time")
}

func hotChild(t *testing.T, how string) ([]byte, error) {
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestNoSystemCalls$", "-test.v")
	cmd.Env = append(os.Environ(), hotVariable+"="+how, "GODEBUG=asyncpreemptoff=1")
	return cmd.CombinedOutput()
}

func killedBySeccomp(err error) bool {
	status := new(exec.ExitError)
	return errors.As(err, &status) && status.Sys().(syscall.WaitStatus).Signal() == syscall.SIGSYS
}

// withoutSystemCalls ends this process, well if no system call was made.
func withoutSystemCalls(t *testing.T, control bool) error {
	p := newPool(t, Options{Size: 64 << 10, Guarantees: []region.Option{region.Guarded()}})
	sealed, err := p.Seal(make([]byte, 32))
	if err != nil {
		return err
	}
	if err := use(p, sealed); err != nil { // pages are assigned
		return err
	}
	debug.SetGCPercent(-1)
	runtime.LockOSThread()
	if err := onlyThese(syscall.SYS_FUTEX, syscall.SYS_RT_SIGRETURN, syscall.SYS_EXIT_GROUP); err != nil {
		return err
	}
	if control {
		syscall.Getppid()
	}
	status := uintptr(0)
	if use(p, sealed) != nil {
		status = 1
	}
	syscall.RawSyscall(syscall.SYS_EXIT_GROUP, status, 0, 0)
	return nil
}

// use does all that is done often.
func use(p *Pool, sealed *Sealed) error {
	for i := range 1000 {
		a, err := p.Alloc(1 + i%64)
		if err != nil {
			return err
		}
		b, err := sealed.Open(nil)
		if err != nil {
			return err
		}
		err = a.Write(func(x []byte) error {
			return b.Read(func(y []byte) error { copy(x, y); return nil })
		})
		if err := errors.Join(err, a.Free(), b.Free()); err != nil {
			return fmt.Errorf("round %d: %w", i, err)
		}
	}
	return nil
}
