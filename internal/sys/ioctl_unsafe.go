package sys

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ioctl runs a request on f; some requests return a count.
func ioctl(f *os.File, request uintptr, arg unsafe.Pointer) (int, error) {
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(arg))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
