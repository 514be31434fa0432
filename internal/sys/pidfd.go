package sys

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// PidfdOpen pins a process: the descriptor never comes to mean another one.
func PidfdOpen(pid int) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

// PidfdOpenThread pins a thread (PIDFD_THREAD, Linux 6.9; EINVAL before).
func PidfdOpenThread(tid int) (*os.File, error) {
	fd, err := unix.PidfdOpen(tid, unix.O_EXCL)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open(PIDFD_THREAD)", err)
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

// PidfdGetfd copies a descriptor of the process into this one. It needs the right
// to attach to the process (ptrace(2), PTRACE_MODE_ATTACH_REALCREDS).
func PidfdGetfd(pidfd *os.File, fd int) (*os.File, error) {
	n, err := unix.PidfdGetfd(int(pidfd.Fd()), fd, 0)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_getfd", err)
	}
	return os.NewFile(uintptr(n), "pidfd_getfd"), nil
}

// PidfdSignal sends a signal to exactly that process.
func PidfdSignal(pidfd *os.File, sig syscall.Signal) error {
	return os.NewSyscallError("pidfd_send_signal", unix.PidfdSendSignal(int(pidfd.Fd()), sig, nil, 0))
}

// WaitExit waits until a child has ended, and leaves it to be waited for: its number is not
// given to another process before that (waitid(2), WNOWAIT).
func WaitExit(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return os.NewSyscallError("waitid", err)
		}
	}
}
