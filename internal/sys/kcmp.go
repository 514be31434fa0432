package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

const kcmpFiles = 2 // KCMP_FILES, include/uapi/linux/kcmp.h

// SameFiles reports whether two threads use one table of descriptors (kcmp(2)). The
// ids are those of the caller's PID namespace. ENOSYS says that the kernel was built
// without kcmp.
func SameFiles(tid1, tid2 int) (bool, error) {
	order, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(tid1), uintptr(tid2), kcmpFiles, 0, 0, 0)
	if errno != 0 {
		return false, os.NewSyscallError("kcmp", errno)
	}
	return order == 0, nil
}
