package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

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
