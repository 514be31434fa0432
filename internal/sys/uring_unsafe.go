package sys

import (
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Uring is an io_uring with room for one request at a time (io_uring(7)). It is for
// experiments, not for speed.
type Uring struct {
	file   *os.File
	params uringParams
	ring   []byte // both rings: IORING_FEAT_SINGLE_MMAP, Linux 5.4
	sqes   []byte
}

// uringParams is struct io_uring_params of include/uapi/linux/io_uring.h.
type uringParams struct {
	sqEntries, cqEntries, flags, sqThreadCPU, sqThreadIdle, features, wqFD uint32
	resv                                                                   [3]uint32
	sq, cq                                                                 [10]uint32
}

// uringSQE is struct io_uring_sqe; Result of the request comes with its CQE.
type uringSQE struct {
	opcode, flags uint8
	ioprio        uint16
	fd            int32
	off           uint64
	addr          unsafe.Pointer
	len, rwFlags  uint32
	userData      uint64
	rest          [3]uint64
}

// uringCQE is struct io_uring_cqe.
type uringCQE struct {
	userData uint64
	res      int32
	flags    uint32
}

var (
	_ = [1]struct{}{}[unsafe.Sizeof(uringParams{})-120]
	_ = [1]struct{}{}[unsafe.Sizeof(uringSQE{})-64]
	_ = [1]struct{}{}[unsafe.Sizeof(uringCQE{})-16]
)

const (
	uringOffSQEs         = 0x10000000 // IORING_OFF_SQES
	uringRegisterBuffers = 0          // IORING_REGISTER_BUFFERS
	uringEnterGetEvents  = 1          // IORING_ENTER_GETEVENTS
	uringOpRead          = 22         // IORING_OP_READ
	uringAsync           = 1 << 4     // IOSQE_ASYNC: by a worker thread of the kernel
)

// NewUring makes one. EPERM says that kernel.io_uring_disabled forbids it.
func NewUring() (*Uring, error) {
	u := &Uring{}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&u.params)), 0)
	if errno != 0 {
		return nil, os.NewSyscallError("io_uring_setup", errno)
	}
	u.file = os.NewFile(fd, "io_uring")
	p := &u.params
	size := max(int(p.sq[6])+4*int(p.sqEntries), int(p.cq[5])+16*int(p.cqEntries)) // array, cqes
	var err error
	if u.ring, err = Mmap(size, ProtRead|ProtWrite, MapShared|MapPopulate, int(fd), 0); err == nil {
		u.sqes, err = Mmap(64*int(p.sqEntries), ProtRead|ProtWrite, MapShared|MapPopulate, int(fd), uringOffSQEs)
	}
	if err != nil {
		u.Close()
		return nil, os.NewSyscallError("mmap of an io_uring", err)
	}
	return u, nil
}

// Close takes it away.
func (u *Uring) Close() error {
	if u.ring != nil {
		Munmap(u.ring)
	}
	if u.sqes != nil {
		Munmap(u.sqes)
	}
	return u.file.Close()
}

// RegisterBuffer has the kernel pin the pages of b (IORING_REGISTER_BUFFERS).
func (u *Uring) RegisterBuffer(b []byte) error {
	iov := unix.Iovec{Base: unsafe.SliceData(b)}
	iov.SetLen(len(b))
	_, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, u.file.Fd(), uringRegisterBuffers, uintptr(unsafe.Pointer(&iov)), 1, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// ReadInto has the kernel read from f into b, by one of its worker threads.
func (u *Uring) ReadInto(f *os.File, b []byte) (int, error) { return u.submit(uringOpRead, f, b) }

func (u *Uring) submit(opcode uint8, f *os.File, b []byte) (int, error) {
	p := &u.params
	sqe := (*uringSQE)(unsafe.Pointer(unsafe.SliceData(u.sqes)))
	*sqe = uringSQE{opcode: opcode, flags: uringAsync, fd: int32(f.Fd()), off: ^uint64(0), addr: unsafe.Pointer(unsafe.SliceData(b)), len: uint32(len(b))}
	*u.word(p.sq[6]) = 0                 // sq.array[0]
	atomic.AddUint32(u.word(p.sq[1]), 1) // sq.tail
	_, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, u.file.Fd(), 1, 1, uringEnterGetEvents, 0, 0)
	if errno != 0 {
		return 0, os.NewSyscallError("io_uring_enter", errno)
	}
	head := u.word(p.cq[0])
	cqe := (*uringCQE)(unsafe.Pointer(&u.ring[uintptr(p.cq[5])+16*uintptr(*head&(p.cqEntries-1))]))
	res := cqe.res
	atomic.AddUint32(head, 1)
	if res < 0 {
		return 0, unix.Errno(-res)
	}
	return int(res), nil
}

func (u *Uring) word(offset uint32) *uint32 {
	return (*uint32)(unsafe.Pointer(&u.ring[offset]))
}
