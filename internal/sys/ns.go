package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// PIDNamespaceInit is the inode number of the kernel's first PID namespace
// (PROC_PID_INIT_INO in include/linux/proc_ns.h, PID_NS_INIT_INO in
// include/uapi/linux/nsfs.h).
const PIDNamespaceInit = 0xEFFFFFFC

// EnterPIDNamespace makes the PID namespace that ns stands for, an open
// /proc/PID/ns/pid, the one that further children of the calling thread are born
// in; the thread itself stays where it is (setns(2)). It takes CAP_SYS_ADMIN over
// that namespace and over the caller's own user namespace (EPERM), and the
// namespace must be the caller's own or below it (EINVAL).
//
// Precondition: the goroutine is locked to its thread. Until the thread enters its
// own namespace again it cannot start threads (clone(2): EINVAL); the Go runtime
// leaves that to others while a goroutine is locked to it.
func EnterPIDNamespace(ns *os.File) error {
	return os.NewSyscallError("setns", unix.Setns(int(ns.Fd()), unix.CLONE_NEWPID))
}

// ParentNamespace opens the namespace above ns, a PID or user namespace
// (ioctl_nsfs(2), NS_GET_PARENT). EPERM says that there is none, or that it is out of
// the caller's sight.
func ParentNamespace(ns *os.File) (*os.File, error) {
	fd, err := unix.IoctlRetInt(int(ns.Fd()), unix.NS_GET_PARENT)
	if err != nil {
		return nil, os.NewSyscallError("ioctl(NS_GET_PARENT)", err)
	}
	return os.NewFile(uintptr(fd), "ns"), nil
}
