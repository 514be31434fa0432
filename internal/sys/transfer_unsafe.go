package sys

import (
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Each of these takes memory into the kernel by another path. They return how many bytes
// went, and the plain errno.

// Write writes b with one write(2).
func Write(f *os.File, b []byte) (int, error) { return unix.Write(int(f.Fd()), b) }

// Read reads into b with one read(2).
func Read(f *os.File, b []byte) (int, error) { return unix.Read(int(f.Fd()), b) }

// Pwrite writes b at an offset with one pwrite(2).
func Pwrite(f *os.File, b []byte, offset int64) (int, error) {
	return unix.Pwrite(int(f.Fd()), b, offset)
}

// Pread reads into b at an offset with one pread(2).
func Pread(f *os.File, b []byte, offset int64) (int, error) {
	return unix.Pread(int(f.Fd()), b, offset)
}

// Vmsplice gives the pages of b to a pipe (vmsplice(2)).
func Vmsplice(pipe *os.File, b []byte) (int, error) {
	iov := []unix.Iovec{{Base: unsafe.SliceData(b)}}
	iov[0].SetLen(len(b))
	return unix.Vmsplice(int(pipe.Fd()), iov, 0)
}

// Sendfile moves bytes from a file to another one (sendfile(2)).
func Sendfile(to, from *os.File, count int) (int, error) {
	return unix.Sendfile(int(to.Fd()), int(from.Fd()), nil, count)
}

// Splice moves bytes from a file to a pipe, or the other way (splice(2)).
func Splice(from, to *os.File, count int) (int, error) {
	n, err := unix.Splice(int(from.Fd()), nil, int(to.Fd()), nil, count, 0)
	return int(n), err
}

// Getrandom has the kernel fill b: not the vDSO, as x/sys does where it can.
func Getrandom(b []byte) (int, error) {
	n, _, errno := unix.Syscall(unix.SYS_GETRANDOM, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// ClockGettime has the kernel write the time (struct timespec, 16 bytes) to b: the system call,
// not the vDSO.
func ClockGettime(b []byte) error {
	_, _, errno := unix.Syscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_MONOTONIC, uintptr(unsafe.Pointer(unsafe.SliceData(b))), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// EnableZeroCopy lets a socket send pages as they are (socket(7), SO_ZEROCOPY).
func EnableZeroCopy(socket *os.File) error {
	return os.NewSyscallError("setsockopt(SO_ZEROCOPY)", unix.SetsockoptInt(int(socket.Fd()), unix.SOL_SOCKET, unix.SO_ZEROCOPY, 1))
}

// SendZeroCopy sends b on a connected socket, its pages as they are (MSG_ZEROCOPY).
func SendZeroCopy(socket *os.File, b []byte) (int, error) {
	return unix.SendmsgN(int(socket.Fd()), b, nil, nil, unix.MSG_ZEROCOPY)
}

// OpenDirect makes or opens a file past the page cache (O_DIRECT). EINVAL says that the
// file system can't.
func OpenDirect(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_DIRECT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, &os.PathError{Op: "open(O_DIRECT)", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// PunchHole takes bytes of a file away, whose size stays (fallocate(2),
// FALLOC_FL_PUNCH_HOLE).
func PunchHole(f *os.File, offset, length int64) error {
	return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, offset, length)
}

// ProcessVMWrite writes b to addr of a process (process_vm_writev(2)).
func ProcessVMWrite(pid int, b []byte, addr uint64) (int, error) {
	local := []unix.Iovec{{Base: unsafe.SliceData(b)}}
	local[0].SetLen(len(b))
	return unix.ProcessVMWritev(pid, local, []unix.RemoteIovec{{Base: uintptr(addr), Len: len(b)}}, 0)
}

// Operations of futex(2).
const (
	futexWait    = 0
	futexPrivate = 128
)

// FutexWait waits on the word at the begin of b as long as it is value, at most for
// timeout: ETIMEDOUT says that it waited, EAGAIN that the word is another one.
func FutexWait(b []byte, private bool, value uint32, timeout time.Duration) error {
	op := uintptr(futexWait)
	if private {
		op |= futexPrivate
	}
	ts := unix.NsecToTimespec(timeout.Nanoseconds())
	_, _, errno := unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(unsafe.SliceData(b))), op, uintptr(value),
		uintptr(unsafe.Pointer(&ts)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
