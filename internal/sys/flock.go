package sys

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// LockFile waits for the exclusive lock of a file, which it makes where it is not there
// (flock(2)). The lock ends with unlock, or with the process.
func LockFile(name string) (unlock func(), err error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		file.Close()
		return nil, &os.PathError{Op: "flock", Path: name, Err: err}
	}
	return func() { file.Close() }, nil
}
