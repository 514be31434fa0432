package sys

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Hwpoison makes the kernel treat the first page of b as broken memory (madvise(2),
// MADV_HWPOISON): the frame is lost until the next boot. It needs CAP_SYS_ADMIN
// (EPERM) and a kernel with memory failure handling (EINVAL).
//
// The kernel sends SIGBUS to the calling thread before the call returns, so the caller
// must be ready to recover from a fault (debug.SetPanicOnFault). That is why the call
// is a raw one: from within a system call that the scheduler knows of, the runtime
// can't make a panic of a signal, and ends the program.
func Hwpoison(b []byte) error {
	_, _, errno := syscall.RawSyscall(unix.SYS_MADVISE, uintptr(unsafe.Pointer(unsafe.SliceData(b))),
		uintptr(os.Getpagesize()), unix.MADV_HWPOISON)
	if errno != 0 {
		return os.NewSyscallError("madvise(MADV_HWPOISON)", errno)
	}
	return nil
}
