package sys

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Instruction is one of a classic BPF program (struct sock_filter of include/uapi/linux/filter.h).
type Instruction = unix.SockFilter

// Answers of a seccomp filter; an errno stands in the lowest 16 bits of [SeccompErrno].
const (
	SeccompKill   = unix.SECCOMP_RET_KILL_PROCESS
	SeccompErrno  = unix.SECCOMP_RET_ERRNO
	SeccompNotify = unix.SECCOMP_RET_USER_NOTIF
	SeccompAllow  = unix.SECCOMP_RET_ALLOW
)

// Audit architectures of seccomp_data.arch (include/uapi/linux/audit.h).
const (
	auditAMD64 = 0xc000003e
	auditARM64 = 0xc00000b7
)

// AuditArch is the one that this program was built for.
func AuditArch() uint32 {
	if runtime.GOARCH == "arm64" {
		return auditARM64
	}
	return auditAMD64
}

// LoadFilter adds a seccomp filter to the calling thread, for good, and for what it starts
// (seccomp(2)). With listen it returns the descriptor from which calls are read that the filter
// answers with [SeccompNotify]. The thread needs no_new_privs, or CAP_SYS_ADMIN (EACCES).
func LoadFilter(program []Instruction, listen bool) (listener *os.File, err error) {
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: unsafe.SliceData(program)}
	flags := uintptr(0)
	if listen {
		flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	}
	fd, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&fprog)))
	runtime.KeepAlive(program)
	if errno != 0 {
		return nil, os.NewSyscallError("seccomp", errno)
	}
	if !listen {
		return nil, nil
	}
	return os.NewFile(fd, "seccomp"), nil
}

// Notice is a call that waits for an answer (struct seccomp_notif).
type Notice struct {
	ID    uint64
	PID   uint32
	Flags uint32
	Call  int32
	Arch  uint32
	IP    uint64
	Args  [6]uint64
}

// answer is struct seccomp_notif_resp.
type answer struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

var (
	_ = [1]struct{}{}[unsafe.Sizeof(Notice{})-80]
	_ = [1]struct{}{}[unsafe.Sizeof(answer{})-24]
)

const (
	ioctlNotifRecv    = 0xc0502100
	ioctlNotifSend    = 0xc0182101
	ioctlNotifIDValid = 0x40082102
)

// ReadNotice waits for a call (SECCOMP_IOCTL_NOTIF_RECV). ENOENT says that one has gone again.
func ReadNotice(listener *os.File) (n Notice, err error) {
	err = ioctlPointer(listener, ioctlNotifRecv, unsafe.Pointer(&n))
	return n, err
}

// NoticeValid reports whether the caller still waits: what was read of the process meanwhile is its own.
func NoticeValid(listener *os.File, id uint64) bool {
	return ioctlPointer(listener, ioctlNotifIDValid, unsafe.Pointer(&id)) == nil
}

// Answer lets the call fail with an errno, or lets it go on where that is 0.
func Answer(listener *os.File, id uint64, errno int32) error {
	a := answer{id: id, errno: -errno}
	if errno == 0 {
		a.flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
	}
	return ioctlPointer(listener, ioctlNotifSend, unsafe.Pointer(&a))
}

func ioctlPointer(f *os.File, request uintptr, at unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(at))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}
