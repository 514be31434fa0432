package sys

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// LSMs returns the ids of the active security modules, in the order in which the
// kernel asks them (lsm_list_modules(2), Linux 6.8; ENOSYS before). The ids are those
// of include/uapi/linux/lsm.h.
func LSMs() ([]uint64, error) {
	ids := make([]uint64, 32)
	for {
		size := uint32(len(ids) * 8) // bytes, in and out
		n, _, errno := unix.Syscall(unix.SYS_LSM_LIST_MODULES, uintptr(unsafe.Pointer(unsafe.SliceData(ids))), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == unix.E2BIG && int(size/8) > len(ids):
			ids = make([]uint64, size/8)
		case errno != 0:
			return nil, os.NewSyscallError("lsm_list_modules", errno)
		default:
			return ids[:min(int(n), len(ids))], nil
		}
	}
}
