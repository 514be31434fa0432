package sys

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrnoName returns the name of the errno in err, such as "EACCES": the raw answer
// of the kernel, for evidence. It is empty where err holds no errno.
func ErrnoName(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return ""
	}
	if name := unix.ErrnoName(errno); name != "" {
		return name
	}
	return errno.Error()
}
