package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// TouchPages has the kernel write to each page of b, so that it is there, and leaves a zero
// where it wrote: the first byte of each. Where a page can't be had it says EFAULT; a store by
// the program would be answered by SIGBUS. It is for memory that holds nothing yet.
func TouchPages(b []byte, pageSize int) error {
	for at := 0; at < len(b); at += pageSize {
		page := b[at : at+1]
		n, _, errno := unix.Syscall(unix.SYS_GETRANDOM, uintptr(unsafe.Pointer(unsafe.SliceData(page))), 1, unix.GRND_NONBLOCK|unix.GRND_INSECURE)
		if errno == unix.EINVAL { // GRND_INSECURE came with Linux 5.6
			n, _, errno = unix.Syscall(unix.SYS_GETRANDOM, uintptr(unsafe.Pointer(unsafe.SliceData(page))), 1, 0)
		}
		if errno != 0 {
			return errno
		}
		if n != 1 {
			return unix.EFAULT
		}
		page[0] = 0
	}
	return nil
}
