package sys

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// More advice, protections and flags for experiments.
const (
	MapFixedNoreplace = unix.MAP_FIXED_NOREPLACE
	MapLocked         = unix.MAP_LOCKED

	MadvFree          = unix.MADV_FREE
	MadvCold          = unix.MADV_COLD
	MadvPageout       = unix.MADV_PAGEOUT
	MadvRemove        = unix.MADV_REMOVE
	MadvPopulateRead  = unix.MADV_POPULATE_READ
	MadvPopulateWrite = unix.MADV_POPULATE_WRITE
	MlockOnFault      = 1 // MLOCK_ONFAULT of mlock2(2)

	MclCurrent = unix.MCL_CURRENT
	MclFuture  = unix.MCL_FUTURE
	MclOnfault = unix.MCL_ONFAULT

	MremapMaymove   = unix.MREMAP_MAYMOVE
	MremapFixed     = unix.MREMAP_FIXED
	MremapDontunmap = unix.MREMAP_DONTUNMAP
)

// MmapHint maps at an address that is asked for, with whatever flags.
func MmapHint(addr uint64, length, prot, flags, fd int, offset int64) ([]byte, error) {
	at, _, errno := unix.Syscall6(unix.SYS_MMAP, uintptr(addr), uintptr(length), uintptr(prot), uintptr(flags), uintptr(fd), uintptr(offset))
	if errno != 0 {
		return nil, errno
	}
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&at)), length), nil
}

// Mlock2 locks memory with flags (mlock2(2)).
func Mlock2(b []byte, flags int) error { return memCall(unix.SYS_MLOCK2, b, uintptr(flags)) }

// Mlockall locks all memory of the process.
func Mlockall(flags int) error { return unix.Mlockall(flags) }

// Munlockall ends all locks.
func Munlockall() error { return unix.Munlockall() }

// MsealFlags is [Mseal] with flags; there are none yet.
func MsealFlags(b []byte, flags int) error { return memCall(unix.SYS_MSEAL, b, uintptr(flags)) }

// Mremap resizes or moves a mapping (mremap(2)). to is used with [MremapFixed] alone.
func Mremap(b []byte, length, flags int, to uint64) ([]byte, error) {
	at, _, errno := unix.Syscall6(unix.SYS_MREMAP, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		uintptr(length), uintptr(flags), uintptr(to), 0)
	if errno != 0 {
		return nil, errno
	}
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&at)), length), nil
}

// MapShadowStack maps a shadow stack (map_shadow_stack(2)).
func MapShadowStack(length int) error {
	_, _, errno := unix.Syscall(453, 0, uintptr(length), 0) // __NR_map_shadow_stack, the same on all architectures
	if errno != 0 {
		return errno
	}
	return nil
}

// ProcessMadvise gives advice on the memory of another process (process_madvise(2)).
func ProcessMadvise(pidfd *os.File, b []byte, advice int) error {
	iov := unix.Iovec{Base: unsafe.SliceData(b)}
	iov.SetLen(len(b))
	_, _, errno := unix.Syscall6(unix.SYS_PROCESS_MADVISE, pidfd.Fd(), uintptr(unsafe.Pointer(&iov)), 1, uintptr(advice), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// Bytes returns the memory of this process at an address: to be touched where a fault is
// expected. It must not be in the Go heap.
func Bytes(addr uint64, length int) []byte {
	at := uintptr(addr)
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&at)), length)
}
