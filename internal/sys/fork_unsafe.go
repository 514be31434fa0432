package sys

import (
	"errors"
	"io"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ForkIdle makes a copy of this process that holds the same pages, copy-on-write,
// and does nothing. It ends with status 0 when the other end of the pipe or socket
// hangup is closed, and is killed when the calling thread ends; all signals but
// SIGKILL are blocked in it. It holds copies of all file descriptors. When ForkIdle
// returns, the copy is waiting. The caller reaps it (wait4(2)).
//
// Precondition: the caller is locked to its thread (runtime.LockOSThread) and keeps
// that thread for as long as the child shall live.
//
// A Go program can't go on after a fork: only the calling thread exists in the
// child, and the runtime's locks are in whatever state the others left them. So the
// child never returns to the runtime. It runs in one nosplit function (the stack
// can't grow, nothing is allocated), with all signals blocked (no handler runs, no
// preemption), and makes raw system calls alone. syscall.forkExec has the same rules,
// and they are why the child is not offered as a callback.
func ForkIdle(hangup int) (pid int, err error) {
	return forkAndWait(&idleChild{waits: [2]unix.PollFd{{Fd: int32(hangup)}}, waitCount: 1})
}

// LaterMapping is one call of mmap(2) for [ForkMapper].
type LaterMapping struct {
	Length      int
	Prot, Flags int
	FD          int // -1 for anonymous memory
}

// ForkMapper is as [ForkIdle], but whenever a byte can be read from orders, the copy
// makes the mappings (those with a length) and writes what mmap returned for each to
// replies: two native uint64, an address or a negative errno. Its address space is a
// Go program's, and changes only by that: no runtime is at work in it.
func ForkMapper(hangup, orders, replies int, mappings [2]LaterMapping) (pid int, err error) {
	child := idleChild{
		waits:     [2]unix.PollFd{{Fd: int32(hangup)}, {Fd: int32(orders), Events: unix.POLLIN}},
		waitCount: 2,
		replies:   uintptr(replies),
	}
	for i, m := range mappings {
		child.maps[i].args = [6]uintptr{0, uintptr(m.Length), uintptr(m.Prot), uintptr(m.Flags), uintptr(m.FD), 0}
	}
	return forkAndWait(&child)
}

// idleChild is what the child needs. All of it is made before the fork.
type idleChild struct {
	parent    uintptr // the parent's pid
	ready     uintptr // a pipe: the child writes a byte when it is set up
	waits     [2]unix.PollFd
	waitCount uintptr
	replies   uintptr
	maps      [2]laterMap
	sigmask   uint64 // the parent's, to be restored; the kernel's sigset_t
}

type laterMap struct {
	args   [6]uintptr // of mmap(2)
	result uint64     // what it returned
}

// The kernel's sigset_t is 64 bits on every 64-bit architecture of Go but MIPS.
const sigsetSize = 8

var _ = [1]struct{}{}[unsafe.Sizeof(idleChild{}.sigmask)-sigsetSize]

func forkAndWait(child *idleChild) (pid int, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	child.parent, child.ready = uintptr(os.Getpid()), w.Fd()
	n, errno := forkIdle(child)
	w.Close()
	if errno != 0 {
		return 0, os.NewSyscallError("clone", errno)
	}
	// End of file says that it ended before: its status will tell the caller.
	if _, err := r.Read(make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
		return int(n), err
	}
	return int(n), nil
}

// rawCall makes one raw system call with three arguments (the rest are 0) on behalf of
// what follows. It is a function of its own so that the compiler keeps the frames of
// its callers small: together they have what a nosplit call chain may use.
//
//go:nosplit
//go:norace
//go:noinline
func rawCall(number, a, b, c uintptr) (uintptr, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(number, a, b, c, 0, 0, 0)
	return n, errno
}

// blockSignals blocks all signals of this thread and notes which were blocked before.
//
//go:nosplit
//go:norace
//go:noinline
func blockSignals(before *uint64) syscall.Errno {
	all := ^uint64(0)
	_, _, errno := syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK,
		uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(before)), sigsetSize, 0, 0)
	return errno
}

//go:nosplit
//go:norace
//go:noinline
func restoreSignals(before *uint64) {
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK,
		uintptr(unsafe.Pointer(before)), 0, sigsetSize, 0, 0)
}

// forkIdle blocks all signals of this thread around the fork, so that the child
// starts with all blocked. Nothing here may grow the stack, allocate, or be
// instrumented: its frame is live in the child.
//
//go:nosplit
//go:norace
//go:noinline
func forkIdle(child *idleChild) (pid uintptr, errno syscall.Errno) {
	if errno = blockSignals(&child.sigmask); errno != 0 {
		return 0, errno
	}
	// No CLONE_VM: the child has its own copy of the address space. The other
	// arguments differ in order between architectures; all are zero.
	pid, errno = rawCall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0)
	if errno == 0 && pid == 0 {
		idle(child)
	}
	restoreSignals(&child.sigmask)
	return pid, errno
}

// idle is the whole life of the child. It does not return.
//
//go:nosplit
//go:norace
//go:noinline
func idle(child *idleChild) {
	rawCall(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0)
	rawCall(unix.SYS_WRITE, child.ready, uintptr(unsafe.Pointer(&child.ready)), 1)
	status := uintptr(1)
	// The parent may have ended before the first line.
	parent, _ := rawCall(unix.SYS_GETPPID, 0, 0, 0)
	for parent == child.parent {
		_, errno := rawCall(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&child.waits)), child.waitCount, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			break
		}
		// No event was asked for: only hang-up and errors are reported.
		if child.waits[0].Revents != 0 {
			status = 0
			break
		}
		// An order of ForkMapper: a byte, taken into a field that is set anew below.
		if n, _ := rawCall(unix.SYS_READ, uintptr(child.waits[1].Fd), uintptr(unsafe.Pointer(&child.maps[0].result)), 1); n != 1 {
			break
		}
		mapLater(&child.maps[0])
		mapLater(&child.maps[1])
		rawCall(unix.SYS_WRITE, child.replies, uintptr(unsafe.Pointer(&child.maps[0].result)), 8)
		rawCall(unix.SYS_WRITE, child.replies, uintptr(unsafe.Pointer(&child.maps[1].result)), 8)
	}
	for {
		rawCall(unix.SYS_EXIT_GROUP, status, 0, 0)
	}
}

//go:nosplit
//go:norace
//go:noinline
func mapLater(m *laterMap) {
	m.result = 0
	if m.args[1] == 0 {
		return
	}
	addr, _, errno := syscall.RawSyscall6(unix.SYS_MMAP, m.args[0], m.args[1], m.args[2], m.args[3], m.args[4], m.args[5])
	m.result = uint64(addr)
	if errno != 0 {
		m.result = -uint64(errno)
	}
}
