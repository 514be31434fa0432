package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// MapSecret maps length bytes of new secret memory to be read and written, and closes the
// descriptor, by which others could map it too (pidfd_getfd(2)). Length is a multiple of the page
// size.
//
// The errors are of memfd_secret(2): ENOSYS, where the kernel was built without it, or can't
// change its linear map; EAGAIN of mmap(2), where the limit on locked memory is reached. Pages
// come when they are first touched.
func MapSecret(length int) ([]byte, error) {
	fd, _, errno := unix.Syscall(unix.SYS_MEMFD_SECRET, unix.O_CLOEXEC, 0, 0)
	if errno != 0 {
		return nil, os.NewSyscallError("memfd_secret", errno)
	}
	defer unix.Close(int(fd))
	if err := unix.Ftruncate(int(fd), int64(length)); err != nil {
		return nil, os.NewSyscallError("ftruncate", err)
	}
	b, err := Mmap(length, ProtRead|ProtWrite, MapShared, int(fd), 0)
	return b, os.NewSyscallError("mmap", err)
}
