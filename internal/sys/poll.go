package sys

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// WaitReadable waits until f can be read or its other end is closed, and reports
// whether that came before the timeout. A pidfd becomes readable when its process
// has ended (pidfd_open(2)).
func WaitReadable(f *os.File, timeout time.Duration) (bool, error) {
	return wait(f, unix.POLLIN, timeout)
}

// WaitPriority waits until f has something of priority to tell, such as a trigger of
// pressure that fired.
func WaitPriority(f *os.File, timeout time.Duration) (bool, error) {
	return wait(f, unix.POLLPRI, timeout)
}

func wait(f *os.File, events int16, timeout time.Duration) (bool, error) {
	fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: events}}
	for deadline := time.Now().Add(timeout); ; {
		left := max(0, time.Until(deadline))
		n, err := unix.Poll(fds, int((left+time.Millisecond-1)/time.Millisecond))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return false, os.NewSyscallError("poll", err)
		}
		return n > 0, nil
	}
}
