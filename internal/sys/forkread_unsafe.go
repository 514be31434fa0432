package sys

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ForkRead makes a copy of this process that reads mapped memory and ends, and returns what it
// saw: the bytes, or the errno with which the kernel refused to take them from there, EFAULT
// where the copy can't read the memory. The memory is at most 4096 bytes, of one page.
//
// Precondition: the caller is locked to its thread (runtime.LockOSThread). The rules for the
// copy are those of [ForkIdle]. It reads through write(2) to a pipe, so that it does not fault.
func ForkRead(b []byte) (seen []byte, refused error, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	child := readingChild{pipe: w.Fd(), at: uintptr(unsafe.Pointer(unsafe.SliceData(b))), length: uintptr(len(b))}
	pid, errno := forkReading(&child)
	w.Close()
	if errno != 0 {
		return nil, nil, os.NewSyscallError("clone", errno)
	}
	said, err := io.ReadAll(r)
	if werr := reap(int(pid)); err == nil {
		err = werr
	}
	if err != nil {
		return nil, nil, err
	}
	if len(said) < 8 {
		return nil, nil, fmt.Errorf("the child ended after %d bytes", len(said))
	}
	seen, answer := said[:len(said)-8], binary.NativeEndian.Uint64(said[len(said)-8:])
	if answer != 0 {
		return nil, syscall.Errno(answer), nil
	}
	return seen, nil, nil
}

// reap waits for a child. One that is reaped by others, or by the kernel, has ended too.
func reap(pid int) error {
	for {
		_, err := unix.Wait4(pid, nil, 0, nil)
		if err == unix.EINTR {
			continue
		}
		if errors.Is(err, unix.ECHILD) {
			return nil
		}
		return os.NewSyscallError("wait4", err)
	}
}

// readingChild is what the child needs. All of it is made before the fork.
type readingChild struct {
	pipe, at, length uintptr
	answer           uint64 // an errno, or 0
	sigmask          uint64
}

// forkReading is as forkIdle: nothing here may grow the stack, allocate, or be instrumented.
//
//go:nosplit
//go:norace
//go:noinline
func forkReading(child *readingChild) (pid uintptr, errno syscall.Errno) {
	if errno = blockSignals(&child.sigmask); errno != 0 {
		return 0, errno
	}
	pid, errno = rawCall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0)
	if errno == 0 && pid == 0 {
		_, errno = rawCall(unix.SYS_WRITE, child.pipe, child.at, child.length)
		child.answer = uint64(errno)
		rawCall(unix.SYS_WRITE, child.pipe, uintptr(unsafe.Pointer(&child.answer)), 8)
		for {
			rawCall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	restoreSignals(&child.sigmask)
	return pid, errno
}
