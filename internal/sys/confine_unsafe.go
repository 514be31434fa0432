package sys

import (
	"math"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What follows confines the calling thread alone, and what it executes: callers are locked to it.

// Namespaces for [syscall.SysProcAttr.Cloneflags] and seccomp filters.
const (
	NewUser = unix.CLONE_NEWUSER
	NewPID  = unix.CLONE_NEWPID
	NewNS   = unix.CLONE_NEWNS
	NewIPC  = unix.CLONE_NEWIPC
)

// More options of [Prctl].
const (
	PrGetDumpable    = unix.PR_GET_DUMPABLE
	PrSetDumpable    = unix.PR_SET_DUMPABLE
	PrSetTHPDisable  = unix.PR_SET_THP_DISABLE
	PrGetTHPDisable  = unix.PR_GET_THP_DISABLE
	PrGetMemoryMerge = 68
	prCapbsetDrop    = unix.PR_CAPBSET_DROP
	prCapAmbient     = unix.PR_CAP_AMBIENT
)

// Capabilities that are kept or asked for.
const (
	CapIPCLock   = unix.CAP_IPC_LOCK
	CapSysAdmin  = unix.CAP_SYS_ADMIN
	CapSysPtrace = unix.CAP_SYS_PTRACE
	CapSetPCAP   = unix.CAP_SETPCAP
	CapLast      = 63
)

// KeepCapabilities takes all capabilities from the calling thread but some, the bounding set
// included: nothing that it executes gets others (capabilities(7)). It needs CAP_SETPCAP for the
// bounding set, without which that one stays as it is.
func KeepCapabilities(keep ...int) error {
	var mask uint64
	for _, c := range keep {
		mask |= 1 << c
	}
	for c := range CapLast + 1 {
		if mask&(1<<c) != 0 {
			continue
		}
		_, err := Prctl(prCapbsetDrop, uintptr(c))
		if err == unix.EINVAL { // behind the last one
			break
		}
		if err != nil && err != unix.EPERM {
			return os.NewSyscallError("prctl(PR_CAPBSET_DROP)", err)
		}
	}
	if _, err := Prctl(prCapAmbient, unix.PR_CAP_AMBIENT_CLEAR_ALL); err != nil && err != unix.EINVAL {
		return os.NewSyscallError("prctl(PR_CAP_AMBIENT)", err)
	}
	return keepEffective(mask)
}

func keepEffective(mask uint64) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var now [2]unix.CapUserData
	if err := unix.Capget(&header, &now[0]); err != nil {
		return os.NewSyscallError("capget", err)
	}
	for i := range now {
		m := uint32(mask >> (32 * i))
		now[i].Permitted &= m
		now[i].Effective &= m
		now[i].Inheritable = now[i].Permitted
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&now)), 0); errno != 0 {
		return os.NewSyscallError("capset", errno)
	}
	return nil
}

// MountPrivate keeps what is mounted from now on to this mount namespace.
func MountPrivate() error {
	return os.NewSyscallError("mount(private)", unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
}

// MountProc mounts a proc file system of the PID namespace of the caller, read-only or not.
func MountProc(at string, readOnly bool) error {
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
	if readOnly {
		flags |= unix.MS_RDONLY
	}
	return os.NewSyscallError("mount(proc)", unix.Mount("proc", at, "proc", flags, ""))
}

// MountNoExec makes a folder a mount of its own from which nothing is executed, nor mapped
// executable (mount(8), noexec). So is what is mounted below it.
func MountNoExec(folder string) error {
	if err := unix.Mount(folder, folder, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return os.NewSyscallError("mount(bind)", err)
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
	return os.NewSyscallError("mount_setattr", unix.MountSetattr(-1, folder, unix.AT_RECURSIVE, &attr))
}

// MountReadOnly makes all that is mounted at and below a folder read-only.
func MountReadOnly(folder string) error {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	return os.NewSyscallError("mount_setattr", unix.MountSetattr(-1, folder, unix.AT_RECURSIVE, &attr))
}

// NoExecMount reports whether a path is on a mount from which nothing is executed.
func NoExecMount(path string) (bool, error) {
	var s unix.Statfs_t
	err := unix.Statfs(path, &s)
	return s.Flags&unix.ST_NOEXEC != 0, os.NewSyscallError("statfs", err)
}

// CloseOnExecFrom has a descriptor and all above it closed when a program is executed (close_range(2),
// CLOSE_RANGE_CLOEXEC, Linux 5.11).
func CloseOnExecFrom(fd int) error {
	return os.NewSyscallError("close_range", unix.CloseRange(uint(fd), math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC))
}

// BindMemory makes the memory of the calling thread, and of what it executes, come from some NUMA
// nodes alone (set_mempolicy(2), MPOL_BIND).
func BindMemory(nodes uint64) error {
	_, _, errno := unix.RawSyscall(unix.SYS_SET_MEMPOLICY, 2, uintptr(unsafe.Pointer(&nodes)), 64)
	if errno != 0 {
		return os.NewSyscallError("set_mempolicy", errno)
	}
	return nil
}

// Foreground makes a process group the one that the terminal belongs to (tcsetpgrp(3)).
func Foreground(terminal *os.File, group int) error {
	return os.NewSyscallError("ioctl(TIOCSPGRP)", unix.IoctlSetPointerInt(int(terminal.Fd()), unix.TIOCSPGRP, group))
}

// TerminalGroup returns the process group that a terminal belongs to, ENOTTY where it is none.
func TerminalGroup(terminal *os.File) (int, error) {
	return unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPGRP)
}

// Wait4 waits for a child, whatever of it: also for one that stops, and for clones (wait4(2)).
func Wait4(pid int, status *syscall.WaitStatus, options int) (int, error) {
	for {
		n, err := syscall.Wait4(pid, status, options|syscall.WALL, nil)
		if err != syscall.EINTR {
			return n, err
		}
	}
}

// SendDescriptor sends a descriptor over a socket (unix(7), SCM_RIGHTS), by one call that a filter
// which was just loaded must let through.
func SendDescriptor(socket *os.File, f *os.File) error {
	return os.NewSyscallError("sendmsg", unix.Sendmsg(int(socket.Fd()), []byte{0}, unix.UnixRights(int(f.Fd())), nil, 0))
}

// ReceiveDescriptor receives one. It returns nil where the other side has closed the socket.
func ReceiveDescriptor(socket *os.File, name string) (*os.File, error) {
	data, control := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	n, m, _, _, err := unix.Recvmsg(int(socket.Fd()), data, control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("recvmsg", err)
	}
	if n == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(control[:m])
	if err != nil || len(messages) == 0 {
		return nil, os.NewSyscallError("recvmsg", unix.EBADMSG)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, os.NewSyscallError("recvmsg", unix.EBADMSG)
	}
	return os.NewFile(uintptr(fds[0]), name), nil
}

// SocketPair returns two connected sockets, closed when a program is executed.
func SocketPair(name string) (a, b *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), name), os.NewFile(uintptr(fds[1]), name), nil
}

// KeepOnExec has a descriptor stay open when a program is executed.
func KeepOnExec(f *os.File) error {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETFD, 0)
	return os.NewSyscallError("fcntl(F_SETFD)", err)
}

// Shutdown ends a connection both ways, also under a read that waits (shutdown(2)).
func Shutdown(socket *os.File) error {
	return os.NewSyscallError("shutdown", unix.Shutdown(int(socket.Fd()), unix.SHUT_RDWR))
}
