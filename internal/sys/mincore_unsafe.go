package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Mincore says for each page of mapped memory whether it is in memory: bit 0 of an element
// of pages, of which there is one for each page (mincore(2)).
func Mincore(b, pages []byte) error {
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		uintptr(unsafe.Pointer(unsafe.SliceData(pages))))
	if errno != 0 {
		return errno
	}
	return nil
}
