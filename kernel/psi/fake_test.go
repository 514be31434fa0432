package psi

import (
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// fakeKernel has files of pressure as Linux 6.18 has them: with its errors, and with
// events by EPOLLPRI. A file is one end of a connection on the loopback, where urgent data
// is such an event, and a reset is EPOLLERR.
type fakeKernel struct {
	t          *testing.T
	privileged bool
	off        bool // psi=0

	mu     sync.Mutex // protects what follows
	now    time.Time
	totals map[string]time.Duration
	armed  map[*os.File]bool
	fds    map[string]net.Conn // the other end of the last file of a path
	gone   map[string]bool
}

func newFake(t *testing.T) (*fakeKernel, *Watcher) {
	k := &fakeKernel{t: t, now: time.Unix(1000, 0), totals: map[string]time.Duration{}, armed: map[*os.File]bool{}, fds: map[string]net.Conn{}, gone: map[string]bool{}}
	w, err := NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.Close()
		for _, c := range k.fds {
			c.Close()
		}
	})
	w.open, w.arm, w.read = k.open, k.arm, k.read
	w.now = func() time.Time {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.now
	}
	return k, w
}

func (k *fakeKernel) open(path string) (*os.File, error) {
	if k.off {
		return nil, &os.PathError{Op: "open", Path: path, Err: syscall.EOPNOTSUPP}
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	near, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		return nil, err
	}
	far, err := l.Accept()
	if err != nil {
		return nil, err
	}
	defer near.Close()
	f, err := near.(*net.TCPConn).File()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fds[path] = far
	return f, err
}

// arm is psi_trigger_create of kernel/sched/psi.c.
func (k *fakeKernel) arm(f *os.File, text string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var kind string
	var stall, window uint64
	if n, err := fmt.Sscanf(text, "%s %d %d", &kind, &stall, &window); n != 3 || err != nil || kind != "some" && kind != "full" || text[len(text)-1] != 0 {
		return syscall.EINVAL
	}
	if window == 0 || window > 10_000_000 || !k.privileged && window%2_000_000 != 0 || stall == 0 || stall > window {
		return syscall.EINVAL
	}
	if k.armed[f] {
		return syscall.EBUSY
	}
	k.armed[f] = true
	return nil
}

func (k *fakeKernel) read(path string) (Pressure, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.gone[path] {
		return Pressure{}, syscall.ENODEV
	}
	total := k.totals[path]
	return Pressure{HasSome: true, HasFull: true, Some: Line{Total: total}, Full: Line{Total: total / 2}}, nil
}

// pass lets time go by, with stalls in it.
func (k *fakeKernel) pass(path string, d, stalled time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now = k.now.Add(d)
	k.totals[path] += stalled
}

// fire wakes the trigger of a path, whether there is pressure or not.
func (k *fakeKernel) fire(path string) {
	raw, err := k.fds[path].(*net.TCPConn).SyscallConn()
	if err != nil {
		k.t.Error(err)
		return
	}
	if err := raw.Write(func(fd uintptr) bool {
		err = syscall.Sendto(int(fd), []byte{1}, syscall.MSG_OOB, nil)
		return true
	}); err != nil {
		k.t.Error(err)
	}
	if err != nil {
		k.t.Error(err)
	}
}

// remove removes the cgroup.
func (k *fakeKernel) remove(path string) {
	k.mu.Lock()
	k.gone[path] = true
	k.mu.Unlock()
	c := k.fds[path].(*net.TCPConn)
	_ = c.SetLinger(0)
	c.Close()
}
