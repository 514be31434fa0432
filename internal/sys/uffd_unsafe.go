package sys

import (
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Userfaultfd is a descriptor that tells of faults of its process (userfaultfd(2)).
type Userfaultfd struct{ f *os.File }

// Features of [NewUserfaultfd], include/uapi/linux/userfaultfd.h.
const (
	UffdFeatureWP      = 1 << 0  // UFFD_FEATURE_PAGEFAULT_FLAG_WP
	UffdFeatureWPAsync = 1 << 15 // UFFD_FEATURE_WP_ASYNC, Linux 6.7
)

const (
	uffdUserModeOnly   = 1          // UFFD_USER_MODE_ONLY: no privilege is needed for it
	uffdAPI            = 0xaa       // UFFD_API
	uffdioAPI          = 0xc018aa3f // _IOWR(0xaa, 0x3f, struct uffdio_api)
	uffdioRegister     = 0xc020aa00 // _IOWR(0xaa, 0x00, struct uffdio_register)
	uffdioWriteprotect = 0xc018aa06 // _IOWR(0xaa, 0x06, struct uffdio_writeprotect)
	uffdRegisterWP     = 1 << 1     // UFFDIO_REGISTER_MODE_WP
	uffdEventPagefault = 0x12       // UFFD_EVENT_PAGEFAULT
	uffdFlagWP         = 1 << 1     // UFFD_PAGEFAULT_FLAG_WP
)

type (
	uffdioAPIArg      struct{ api, features, ioctls uint64 }
	uffdioRegisterArg struct{ start, len, mode, ioctls uint64 }
	uffdioProtectArg  struct{ start, len, mode uint64 }
	// uffdMessage is struct uffd_msg of a page fault.
	uffdMessage struct {
		event       uint8
		_           [7]byte
		flags, addr uint64
		_           uint64 // the thread, where that was asked for
	}
)

var (
	_ = [1]struct{}{}[unsafe.Sizeof(uffdioAPIArg{})-uffdioAPI>>16&0x3fff]
	_ = [1]struct{}{}[unsafe.Sizeof(uffdioRegisterArg{})-uffdioRegister>>16&0x3fff]
	_ = [1]struct{}{}[unsafe.Sizeof(uffdioProtectArg{})-uffdioWriteprotect>>16&0x3fff]
	_ = [1]struct{}{}[unsafe.Sizeof(uffdMessage{})-32]
)

// NewUserfaultfd makes one that sees faults of the processor alone, with features. EINVAL
// says that the kernel lacks one.
func NewUserfaultfd(features uint64) (*Userfaultfd, error) {
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|unix.O_NONBLOCK|uffdUserModeOnly, 0, 0)
	if errno != 0 {
		return nil, os.NewSyscallError("userfaultfd", errno)
	}
	u := &Userfaultfd{os.NewFile(fd, "userfaultfd")}
	arg := uffdioAPIArg{api: uffdAPI, features: features}
	if _, err := ioctl(u.f, uffdioAPI, unsafe.Pointer(&arg)); err != nil {
		u.Close()
		return nil, os.NewSyscallError("ioctl(UFFDIO_API)", err)
	}
	return u, nil
}

// RegisterWP has it watch over writes to memory.
func (u *Userfaultfd) RegisterWP(b []byte) error {
	arg := uffdioRegisterArg{start: Addr(b), len: uint64(len(b)), mode: uffdRegisterWP}
	_, err := ioctl(u.f, uffdioRegister, unsafe.Pointer(&arg))
	return os.NewSyscallError("ioctl(UFFDIO_REGISTER)", err)
}

// WriteProtect protects memory, or ends that, and wakes who waits.
func (u *Userfaultfd) WriteProtect(b []byte, on bool) error {
	arg := uffdioProtectArg{start: Addr(b), len: uint64(len(b))}
	if on {
		arg.mode = 1 // UFFDIO_WRITEPROTECT_MODE_WP
	}
	_, err := ioctl(u.f, uffdioWriteprotect, unsafe.Pointer(&arg))
	return os.NewSyscallError("ioctl(UFFDIO_WRITEPROTECT)", err)
}

// Fault waits for a store that the protection stops, until the timeout, and returns its
// address; the thread that made it goes on waiting. ok is false where there was none.
func (u *Userfaultfd) Fault(timeout time.Duration) (addr uint64, ok bool, err error) {
	if ok, err := WaitReadable(u.f, timeout); !ok || err != nil {
		return 0, false, err
	}
	var m uffdMessage
	_, err = unix.Read(int(u.f.Fd()), unsafe.Slice((*byte)(unsafe.Pointer(&m)), unsafe.Sizeof(m)))
	if err != nil {
		return 0, false, os.NewSyscallError("read of a userfaultfd", err)
	}
	return m.addr, m.event == uffdEventPagefault && m.flags&uffdFlagWP != 0, nil
}

// Close ends all its protections.
func (u *Userfaultfd) Close() error { return u.f.Close() }
