package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// What [Epoll] tells of a file.
const (
	EpollPriority = unix.EPOLLPRI // something of priority: pressure, a change of a cgroup's file
	EpollReadable = unix.EPOLLIN
	EpollError    = unix.EPOLLERR // what stood behind it is gone
	EpollHangup   = unix.EPOLLHUP
)

// Epoll waits for many files at once (epoll(7)), also for what the runtime's poller never
// asks for. Wait is for one goroutine at a time; the others may be called meanwhile.
type Epoll struct{ fd int }

// NewEpoll makes one. Close it.
func NewEpoll() (*Epoll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	return &Epoll{fd}, nil
}

// Add waits for events of f from now on, each told once (EPOLLET). Errors are always told.
// It ends when f is closed.
func (e *Epoll) Add(f *os.File, events uint32) error {
	fd := int(f.Fd())
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(e.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events | unix.EPOLLET, Fd: int32(fd)}))
}

// Wait waits at most so many milliseconds, or without end where that is negative, and
// calls fn with the descriptor and the events of each file that has some.
func (e *Epoll) Wait(milliseconds int, fn func(fd int, events uint32)) error {
	var list [16]unix.EpollEvent
	n, err := unix.EpollWait(e.fd, list[:], milliseconds)
	if err == unix.EINTR {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("epoll_wait", err)
	}
	for _, event := range list[:n] {
		fn(int(event.Fd), event.Events)
	}
	return nil
}

// Close ends it; not while Wait runs.
func (e *Epoll) Close() error { return os.NewSyscallError("close", unix.Close(e.fd)) }

// Eventfd makes a counter that wakes who waits for it (eventfd(2)).
func Eventfd() (*os.File, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd2", err)
	}
	return os.NewFile(uintptr(fd), "eventfd"), nil
}
