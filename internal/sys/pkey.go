package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// Rights of a protection key: include/uapi/asm-generic/mman-common.h.
const (
	PkeyDisableAccess = 0x1 // PKEY_DISABLE_ACCESS: nothing comes through
	PkeyDisableWrite  = 0x2 // PKEY_DISABLE_WRITE: reads do
)

// PkeyAlloc takes a protection key with the given rights for the calling thread
// (pkey_alloc(2), Linux 4.9). Where there are none the kernel says EINVAL or ENOSPC,
// and ENOSYS where it was built without.
func PkeyAlloc(rights int) (int, error) {
	key, _, errno := unix.Syscall(unix.SYS_PKEY_ALLOC, 0, uintptr(rights), 0)
	if errno != 0 {
		return 0, os.NewSyscallError("pkey_alloc", errno)
	}
	return int(key), nil
}

// PkeyFree gives a key back. The rights of the calling thread for it stay as they
// are.
func PkeyFree(key int) error {
	if _, _, errno := unix.Syscall(unix.SYS_PKEY_FREE, uintptr(key), 0, 0); errno != 0 {
		return os.NewSyscallError("pkey_free", errno)
	}
	return nil
}
