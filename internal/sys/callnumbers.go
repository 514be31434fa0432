package sys

import "golang.org/x/sys/unix"

// CallNumbers are those of system calls that filters name, on this architecture.
var CallNumbers = map[string]uint32{
	"bpf":               unix.SYS_BPF,
	"clone":             unix.SYS_CLONE,
	"clone3":            unix.SYS_CLONE3,
	"execve":            unix.SYS_EXECVE,
	"execveat":          unix.SYS_EXECVEAT,
	"fcntl":             unix.SYS_FCNTL,
	"fsconfig":          unix.SYS_FSCONFIG,
	"fsmount":           unix.SYS_FSMOUNT,
	"fsopen":            unix.SYS_FSOPEN,
	"io_uring_setup":    unix.SYS_IO_URING_SETUP,
	"madvise":           unix.SYS_MADVISE,
	"memfd_create":      unix.SYS_MEMFD_CREATE,
	"memfd_secret":      unix.SYS_MEMFD_SECRET,
	"mlockall":          unix.SYS_MLOCKALL,
	"mmap":              unix.SYS_MMAP,
	"mount":             unix.SYS_MOUNT,
	"mount_setattr":     unix.SYS_MOUNT_SETATTR,
	"move_mount":        unix.SYS_MOVE_MOUNT,
	"mprotect":          unix.SYS_MPROTECT,
	"mseal":             unix.SYS_MSEAL,
	"munlock":           unix.SYS_MUNLOCK,
	"munlockall":        unix.SYS_MUNLOCKALL,
	"munmap":            unix.SYS_MUNMAP,
	"open_tree":         unix.SYS_OPEN_TREE,
	"close":             unix.SYS_CLOSE,
	"perf_event_open":   unix.SYS_PERF_EVENT_OPEN,
	"personality":       unix.SYS_PERSONALITY,
	"pidfd_getfd":       unix.SYS_PIDFD_GETFD,
	"pivot_root":        unix.SYS_PIVOT_ROOT,
	"pkey_mprotect":     unix.SYS_PKEY_MPROTECT,
	"prctl":             unix.SYS_PRCTL,
	"process_madvise":   unix.SYS_PROCESS_MADVISE,
	"process_vm_readv":  unix.SYS_PROCESS_VM_READV,
	"process_vm_writev": unix.SYS_PROCESS_VM_WRITEV,
	"ptrace":            unix.SYS_PTRACE,
	"setns":             unix.SYS_SETNS,
	"shmat":             unix.SYS_SHMAT,
	"umount2":           unix.SYS_UMOUNT2,
	"unshare":           unix.SYS_UNSHARE,
	"userfaultfd":       unix.SYS_USERFAULTFD,
}

// RawCallErrno makes a system call of [CallNumbers], and returns its errno, 0 for success. The
// arguments are numbers alone: nothing here keeps memory that they point to.
func RawCallErrno(name string, args ...uint64) unix.Errno {
	var a [6]uintptr
	for i, v := range args {
		a[i] = uintptr(v)
	}
	_, _, errno := unix.RawSyscall6(uintptr(CallNumbers[name]), a[0], a[1], a[2], a[3], a[4], a[5])
	return errno
}
