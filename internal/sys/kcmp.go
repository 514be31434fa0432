package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// What kcmp compares: include/uapi/linux/kcmp.h.
const (
	kcmpVM    = 1 // KCMP_VM
	kcmpFiles = 2 // KCMP_FILES
)

// SameMemory reports whether two processes use one address space, as after
// clone(CLONE_VM). As [SameFiles] otherwise.
func SameMemory(pid1, pid2 int) (bool, error) { return kcmp(pid1, pid2, kcmpVM) }

// SameFiles reports whether two threads use one table of descriptors (kcmp(2)). The
// ids are those of the caller's PID namespace. ENOSYS says that the kernel was built
// without kcmp.
func SameFiles(tid1, tid2 int) (bool, error) {
	return kcmp(tid1, tid2, kcmpFiles)
}

func kcmp(id1, id2 int, what uintptr) (bool, error) {
	order, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(id1), uintptr(id2), what, 0, 0, 0)
	if errno != 0 {
		return false, os.NewSyscallError("kcmp", errno)
	}
	return order == 0, nil
}
