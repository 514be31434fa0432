package code

import (
	"os"
	"runtime/debug"
	"syscall"
	"unsafe"

	"github.com/safevma/safevma/internal/sys"
)

// store writes one byte as any code does, and returns errFault if the memory refuses.
func store(b []byte) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = errFault
		}
	}()
	*(*byte)(unsafe.Pointer(&b[0])) = 0x90
	return nil
}

type iovec struct {
	base *byte
	n    uint64
}

// writev writes one byte by process_vm_writev(2), which package sys has no use for.
func writev(b []byte) error {
	from := []byte{0x90}
	local, remote := iovec{&from[0], 1}, iovec{&b[0], 1}
	_, _, errno := syscall.Syscall6(sysProcessVMWritev, uintptr(os.Getpid()), uintptr(unsafe.Pointer(&local)), 1,
		uintptr(unsafe.Pointer(&remote)), 1, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// mremap moves memory somewhere else, and back in its place if the kernel lets it.
func mremap(b []byte) error {
	size := uintptr(len(b))
	to, _, errno := syscall.Syscall6(syscall.SYS_MREMAP, uintptr(unsafe.Pointer(&b[0])), size, size, 1|4, 0, 0) // MAYMOVE, DONTUNMAP
	if errno != 0 {
		return errno
	}
	syscall.Syscall(syscall.SYS_MUNMAP, to, size, 0)
	return nil
}

// addressOf is where the staging buffer is.
func addressOf(b []byte) uintptr { return uintptr(sys.Addr(b)) }
