package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// More advice, protections and flags for experiments.
const (
	MapLocked = unix.MAP_LOCKED

	MadvPageout       = unix.MADV_PAGEOUT
	MadvPopulateWrite = unix.MADV_POPULATE_WRITE
	MlockOnFault      = 1 // MLOCK_ONFAULT of mlock2(2)

	MclCurrent = unix.MCL_CURRENT
	MclFuture  = unix.MCL_FUTURE
	MclOnfault = unix.MCL_ONFAULT

	MremapMaymove = unix.MREMAP_MAYMOVE
	MremapFixed   = unix.MREMAP_FIXED
)

// Mlock2 locks memory with flags (mlock2(2)).
func Mlock2(b []byte, flags int) error { return memCall(unix.SYS_MLOCK2, b, uintptr(flags)) }

// Mlockall locks all memory of the process.
func Mlockall(flags int) error { return unix.Mlockall(flags) }

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

// Bytes returns the memory of this process at an address: to be touched where a fault is
// expected. It must not be in the Go heap.
func Bytes(addr uint64, length int) []byte {
	at := uintptr(addr)
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&at)), length)
}
