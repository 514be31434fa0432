package sys_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/sys"
)

// busy keeps the runtime at work in other threads, so that forks happen while its
// locks are held: it allocates, collects, and starts and ends threads.
func busy(t *testing.T) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			var keep [][]byte
			for {
				select {
				case <-stop:
					return
				default:
				}
				keep = append(keep, make([]byte, 1<<12))
				if len(keep) == 256 {
					keep = nil
					runtime.GC()
					done := make(chan struct{})
					go func() { // its thread ends with it
						defer close(done)
						runtime.LockOSThread()
					}()
					<-done
				}
			}
		})
	}
	t.Cleanup(func() { close(stop); wg.Wait() })
}

func reap(t *testing.T, pid int) syscall.WaitStatus {
	t.Helper()
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(pid, &status, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			t.Fatalf("wait for the copy %d: %v", pid, err)
		}
		return status
	}
}

// However busy the runtime is when it forks, every copy must live until the other
// end hangs up, and then end with status 0. A socket is used, because the copy has
// both ends, too: shutting one down reaches all its copies.
func TestForkIdleLivesUntilHangup(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	busy(t)
	for round := range 1000 {
		pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		pid, err := sys.ForkIdle(pair[0])
		if err != nil {
			t.Fatal(err)
		}
		var early syscall.WaitStatus
		if gone, err := syscall.Wait4(pid, &early, syscall.WNOHANG, nil); gone != 0 || err != nil {
			t.Fatalf("round %d: the copy ended at once: status %#x, %v", round, early, err)
		}
		if err := syscall.Shutdown(pair[1], syscall.SHUT_RDWR); err != nil {
			t.Fatal(err)
		}
		if status := reap(t, pid); !status.Exited() || status.ExitStatus() != 0 {
			t.Fatalf("round %d: the copy ended with status %#x, want exit 0", round, status)
		}
		syscall.Close(pair[0])
		syscall.Close(pair[1])
	}
}

// A copy must not outlive the thread that made it, though nothing hangs up.
func TestForkIdleDiesWithItsThread(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	type result struct {
		pid int
		err error
	}
	made := make(chan result)
	var fork func(hold chan struct{})
	fork = func(hold chan struct{}) {
		runtime.LockOSThread()
		if syscall.Gettid() == os.Getpid() {
			// The main thread never ends before its process: keep it and take another.
			go fork(hold)
			<-hold
			runtime.UnlockOSThread()
			return
		}
		pid, err := sys.ForkIdle(int(r.Fd()))
		made <- result{pid, err}
	}
	hold := make(chan struct{})
	defer close(hold)
	go fork(hold)
	got := <-made
	if got.err != nil {
		t.Fatal(got.err)
	}
	if status := reap(t, got.pid); status.Signal() != syscall.SIGKILL {
		t.Errorf("the copy ended with status %#x, want SIGKILL", status)
	}
}

// Where the other end is closed already, the copy ends at once.
func TestForkIdleAfterHangup(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	defer r.Close()
	pid, err := sys.ForkIdle(int(r.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if status := reap(t, pid); status.ExitStatus() != 0 {
		t.Errorf("with nobody at the other end the copy ended with status %#x, want exit 0", status)
	}
}

// An order must make exactly the mappings that were prepared, in the copy alone, and
// the reply must say where, or why not.
func TestForkMapper(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	page := os.Getpagesize()
	const rw = sys.ProtRead | sys.ProtWrite
	for _, test := range []struct {
		name     string
		mappings [2]sys.LaterMapping
		want     [2]string // the mapping's permissions; "-" for none, else the error
	}{
		{"none", [2]sys.LaterMapping{}, [2]string{"-", "-"}},
		{"second", [2]sys.LaterMapping{{}, {Length: page, Prot: rw, Flags: sys.MapShared | sys.MapAnonymous, FD: -1}}, [2]string{"-", "rw-s"}},
		{"refused", [2]sys.LaterMapping{{Length: page, Prot: rw, Flags: sys.MapShared, FD: -1}, {Length: page, Prot: sys.ProtNone, Flags: sys.MapPrivate | sys.MapAnonymous, FD: -1}},
			[2]string{syscall.EBADF.Error(), "---p"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			pipes := [3][2]*os.File{}
			for i := range pipes {
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				defer w.Close()
				pipes[i] = [2]*os.File{r, w}
			}
			hangup, orders, replies := pipes[0], pipes[1], pipes[2]
			pid, err := sys.ForkMapper(int(hangup[0].Fd()), int(orders[0].Fd()), int(replies[1].Fd()), test.mappings)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				syscall.Kill(pid, syscall.SIGKILL)
				reap(t, pid)
			}()
			for range 2 { // it obeys more than once
				if _, err := orders[1].Write([]byte{1}); err != nil {
					t.Fatal(err)
				}
				var reply [2]uint64
				if err := binary.Read(replies[0], binary.NativeEndian, &reply); err != nil {
					t.Fatal(err)
				}
				for i, addr := range reply {
					if got := outcome(t, pid, addr); got != test.want[i] {
						t.Errorf("mapping %d: %s at %#x, want %s", i, got, addr, test.want[i])
					}
				}
			}
		})
	}
}

// outcome says what one reply of ForkMapper means: permissions of the mapping that
// covers the address, "-" for no mapping asked for, or the error.
func outcome(t *testing.T, pid int, addr uint64) string {
	t.Helper()
	switch {
	case addr == 0:
		return "-"
	case -addr < 4096:
		return syscall.Errno(-addr).Error()
	}
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		var start, end uint64
		var perms string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &start, &end, &perms); err != nil {
			t.Fatal(err)
		}
		if start <= addr && addr < end {
			return perms
		}
	}
	return "unmapped"
}

func TestWaitReadable(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if ready, err := sys.WaitReadable(r, time.Millisecond); ready || err != nil {
		t.Errorf("an empty pipe: readable %v, %v", ready, err)
	}
	w.Close()
	if ready, err := sys.WaitReadable(r, time.Minute); !ready || err != nil {
		t.Errorf("a closed pipe: readable %v, %v", ready, err)
	}
}
