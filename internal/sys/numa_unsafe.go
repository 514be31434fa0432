package sys

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// BindNode makes the pages of mapped memory come from one NUMA node, from 0 to 63, and
// from no other: those that are touched from now on (mbind(2), MPOL_BIND). EINVAL says
// that there is no such node, or none that the process may use; ENOSYS that the kernel
// was built without NUMA.
func BindNode(b []byte, node int) error {
	mask := uint64(1) << node
	const bits = 8*unsafe.Sizeof(mask) + 1 // the kernel takes one off
	_, _, errno := unix.Syscall6(unix.SYS_MBIND, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MPOL_BIND, uintptr(unsafe.Pointer(&mask)), bits, 0)
	if errno != 0 {
		return os.NewSyscallError("mbind", errno)
	}
	return nil
}

// NodeOf returns the NUMA node of the page at the first byte of b, which it brings in.
func NodeOf(b []byte) (int, error) {
	var node int32
	_, _, errno := unix.Syscall6(unix.SYS_GET_MEMPOLICY, uintptr(unsafe.Pointer(&node)), 0, 0,
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), unix.MPOL_F_NODE|unix.MPOL_F_ADDR, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(node), nil
}

// ThreadNode returns the NUMA node on which the calling thread runs, for now (getcpu(2)).
func ThreadNode() (int, error) {
	var cpu, node uint32
	_, _, errno := unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), uintptr(unsafe.Pointer(&node)), 0)
	if errno != 0 {
		return 0, errno
	}
	return int(node), nil
}
