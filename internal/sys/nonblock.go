package sys

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// OpenNonblocking opens a file to be read with [ReadNow].
func OpenNonblocking(name string) (*os.File, error) {
	for {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
		return os.NewFile(uintptr(fd), name), nil
	}
}

// ReadNow reads what there is, and does not wait: EAGAIN where there is nothing now. 0
// bytes without an error are the end.
func ReadNow(f *os.File, b []byte) (n int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		for {
			if n, failed = unix.Read(int(fd), b); failed != unix.EINTR {
				return true
			}
		}
	})
	if err != nil {
		return 0, err
	}
	if failed != nil {
		return 0, &os.PathError{Op: "read", Path: f.Name(), Err: failed}
	}
	return n, nil
}

// Monotonic is the time of CLOCK_MONOTONIC, which counts from about the boot on and not
// while the machine sleeps (clock_gettime(2)).
func Monotonic() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return time.Duration(ts.Nano()), nil
}
