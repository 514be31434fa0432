package sys

import "golang.org/x/sys/unix"

// Flags of mmap(2) that make a mapping a stack.
const (
	MapGrowsdown = unix.MAP_GROWSDOWN // it grows downwards when the page below is touched
	MapStack     = unix.MAP_STACK     // no effect; says what it is for
)

// MprotectRange changes the protection of [start, end) of the own address space. It
// is for mappings that the caller did not make, such as the stack of the main
// thread; for one's own, [Mprotect].
func MprotectRange(start, end uint64, prot int) error {
	_, _, errno := unix.Syscall(unix.SYS_MPROTECT, uintptr(start), uintptr(end-start), uintptr(prot))
	if errno != 0 {
		return errno
	}
	return nil
}
