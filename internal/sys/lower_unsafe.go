package sys

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Both are of capset(2), version 3 (include/uapi/linux/capability.h).
var (
	_ = [1]struct{}{}[unsafe.Sizeof(unix.CapUserHeader{})-8]
	_ = [1]struct{}{}[unsafe.Sizeof([2]unix.CapUserData{})-24]
)

// DropCapabilities takes all capabilities from every thread of this process, the
// inheritable and ambient ones too (capset(2)). A program that it executes as user 0 has
// them again, unless [NoNewPrivileges] was called before.
//
// In a program that links C code, which a race detector is, it does so for the calling
// thread alone: Go cannot reach the others there.
func DropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none)), 0)
	if errno == unix.ENOTSUP {
		return os.NewSyscallError("capset", unix.Capset(&header, &none[0]))
	}
	if errno != 0 {
		return os.NewSyscallError("capset", errno)
	}
	return nil
}

// BecomeUser gives every thread of this process the user and group id, real, effective
// and saved, and no other groups. EINVAL says that the user namespace has no such id,
// EPERM that the privilege lacks; the groups may be changed then.
func BecomeUser(id int) error {
	if err := syscall.Setresgid(id, id, id); err != nil {
		return os.NewSyscallError("setresgid", err)
	}
	if err := syscall.Setgroups(nil); err != nil {
		return os.NewSyscallError("setgroups", err)
	}
	return os.NewSyscallError("setresuid", syscall.Setresuid(id, id, id))
}

// NoNewPrivileges takes from the calling thread, and from what it starts, what executing
// a program can give: set-user-ID, file capabilities, and the capabilities of user 0
// (PR_SET_NO_NEW_PRIVS(2const)).
func NoNewPrivileges() error {
	return os.NewSyscallError("prctl(PR_SET_NO_NEW_PRIVS)", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
}

// Undumpable forbids others to attach to this process or to read its memory, unless they
// have CAP_SYS_PTRACE over its user namespace (PR_SET_DUMPABLE(2const)). It ends with the
// next execve(2).
func Undumpable() error {
	return os.NewSyscallError("prctl(PR_SET_DUMPABLE)", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
}

// Dumpable undoes what changing the user did: this process may look at its own /proc again.
func Dumpable() error {
	return os.NewSyscallError("prctl(PR_SET_DUMPABLE)", unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0))
}
