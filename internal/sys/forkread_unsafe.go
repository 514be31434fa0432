package sys

import (
	"io"
	"os"
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
	call := []RawCall{{Number: unix.SYS_WRITE, Args: [6]uintptr{w.Fd(), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b))}}}
	_, err = ForkCalls(call)
	w.Close()
	switch {
	case err != nil:
		return nil, nil, err
	case !call[0].Made:
		return nil, nil, os.NewSyscallError("fork", unix.ECHILD)
	case call[0].Errno != 0:
		return nil, call[0].Errno, nil
	}
	seen, err = io.ReadAll(r)
	return seen, nil, err
}
