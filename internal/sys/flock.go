package sys

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ErrLocked says that somebody else has the lock.
var ErrLocked = errors.New("locked by somebody else")

// LockFile waits for the exclusive lock of a file, which it makes where it is not there
// (flock(2)), or until ctx ends. The lock ends with unlock, or with the process.
func LockFile(ctx context.Context, name string) (unlock func(), err error) {
	for {
		unlock, err = TryLockFile(name)
		if !errors.Is(err, ErrLocked) {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, &os.PathError{Op: "flock", Path: name, Err: context.Cause(ctx)}
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TryLockFile is [LockFile] that does not wait: [ErrLocked].
func TryLockFile(name string) (unlock func(), err error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := TryLock(file); err != nil {
		file.Close()
		return nil, err
	}
	return func() { file.Close() }, nil
}

// TryLock takes the exclusive lock of an open file, or says [ErrLocked]. It ends when the
// last descriptor that was copied from this one is closed.
func TryLock(file *os.File) error {
	for {
		switch err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err {
		case nil:
			return nil
		case unix.EINTR:
		case unix.EWOULDBLOCK:
			return &os.PathError{Op: "flock", Path: file.Name(), Err: ErrLocked}
		default:
			return &os.PathError{Op: "flock", Path: file.Name(), Err: err}
		}
	}
}
