package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// LockBytes takes a lock on length bytes of an open file from start on, for reading
// (F_OFD_SETLK of fcntl(2)): it belongs to the open file, and does not wait.
func LockBytes(f *os.File, start, length int64) error {
	return ofdLock(f, unix.F_RDLCK, start, length)
}

// UnlockBytes gives back all locks between; length 0 means to the end of the file.
func UnlockBytes(f *os.File, start, length int64) error {
	return ofdLock(f, unix.F_UNLCK, start, length)
}

func ofdLock(f *os.File, kind int16, start, length int64) error {
	lock := unix.Flock_t{Type: kind, Whence: 0, Start: start, Len: length}
	return os.NewSyscallError("fcntl", unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock))
}
