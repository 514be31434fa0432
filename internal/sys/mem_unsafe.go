package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Protections, mapping types and advice that x/sys names.
const (
	ProtNone  = unix.PROT_NONE
	ProtRead  = unix.PROT_READ
	ProtWrite = unix.PROT_WRITE
	ProtExec  = unix.PROT_EXEC

	MapShared    = unix.MAP_SHARED
	MapPrivate   = unix.MAP_PRIVATE
	MapDroppable = 0x08 // MAP_DROPPABLE, a mapping type of its own (Linux 6.11, include/uapi/linux/mman.h)
	MapAnonymous = unix.MAP_ANONYMOUS
	MapNoreserve = unix.MAP_NORESERVE
	MapPopulate  = unix.MAP_POPULATE
	MapFixed     = unix.MAP_FIXED

	MapFixedNoreplace = unix.MAP_FIXED_NOREPLACE // EEXIST where something is mapped

	// MapSharedValidate is MapShared, but refuses flags that the file can't keep.
	MapSharedValidate = unix.MAP_SHARED_VALIDATE
	MapSync           = unix.MAP_SYNC // with MapSharedValidate alone

	MadvRandom      = unix.MADV_RANDOM
	MadvSequential  = unix.MADV_SEQUENTIAL
	MadvDontdump    = unix.MADV_DONTDUMP
	MadvDodump      = unix.MADV_DODUMP
	MadvDontfork    = unix.MADV_DONTFORK
	MadvDofork      = unix.MADV_DOFORK
	MadvWipeonfork  = unix.MADV_WIPEONFORK
	MadvKeeponfork  = unix.MADV_KEEPONFORK
	MadvMergeable   = unix.MADV_MERGEABLE
	MadvUnmergeable = unix.MADV_UNMERGEABLE
	MadvDontneed    = unix.MADV_DONTNEED
	MadvHugepage    = unix.MADV_HUGEPAGE
	MadvCollapse    = unix.MADV_COLLAPSE
	MadvNohugepage  = unix.MADV_NOHUGEPAGE

	// MadvDontneedLocked is MadvDontneed for locked memory too, which stays locked (Linux 5.18).
	MadvDontneedLocked = unix.MADV_DONTNEED_LOCKED

	MadvGuardInstall = unix.MADV_GUARD_INSTALL // Linux 6.13
	MadvGuardRemove  = unix.MADV_GUARD_REMOVE
)

// Mmap maps length bytes and returns them. fd is -1 for anonymous memory.
func Mmap(length, prot, flags, fd int, offset int64) ([]byte, error) {
	addr, _, errno := unix.Syscall6(unix.SYS_MMAP, 0, uintptr(length), uintptr(prot), uintptr(flags), uintptr(fd), uintptr(offset))
	if errno != 0 {
		return nil, errno
	}
	// The address is the kernel's, outside the Go heap; the double conversion tells
	// vet so.
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&addr)), length), nil
}

// MmapAt maps in the place of mapped memory, which is replaced (MAP_FIXED).
func MmapAt(place []byte, prot, flags, fd int, offset int64) error {
	_, _, errno := unix.Syscall6(unix.SYS_MMAP, uintptr(unsafe.Pointer(unsafe.SliceData(place))), uintptr(len(place)),
		uintptr(prot), uintptr(flags)|unix.MAP_FIXED, uintptr(fd), uintptr(offset))
	if errno != 0 {
		return errno
	}
	return nil
}

// Msync writes the pages of a shared mapping to its file, and waits (MS_SYNC).
func Msync(b []byte) error { return memCall(unix.SYS_MSYNC, b, unix.MS_SYNC) }

// Munmap unmaps what [Mmap] returned.
func Munmap(b []byte) error { return memCall(unix.SYS_MUNMAP, b, 0) }

// Mprotect changes the protection of mapped memory.
func Mprotect(b []byte, prot int) error { return memCall(unix.SYS_MPROTECT, b, uintptr(prot)) }

// MprotectNow is [Mprotect] that does not tell the scheduler of Go of it, as the runtime's own calls
// that map memory don't: for the few pages of a window, where that takes longer than it may wait
// for the lock of the address space, which is all that it ever waits for.
func MprotectNow(b []byte, prot int) error {
	_, _, errno := unix.RawSyscall(unix.SYS_MPROTECT, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(prot))
	if errno != 0 {
		return errno
	}
	return nil
}

// PkeyMprotect is [Mprotect] that also gives the pages a protection key.
func PkeyMprotect(b []byte, prot, key int) error {
	_, _, errno := unix.Syscall6(unix.SYS_PKEY_MPROTECT, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		uintptr(prot), uintptr(key), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// Mlock locks memory. A return of nil is no evidence that it is resident.
func Mlock(b []byte) error { return memCall(unix.SYS_MLOCK, b, 0) }

// Munlock unlocks memory. On secret memory it returns nil and does nothing.
func Munlock(b []byte) error { return memCall(unix.SYS_MUNLOCK, b, 0) }

// Madvise gives advice on mapped memory.
func Madvise(b []byte, advice int) error { return memCall(unix.SYS_MADVISE, b, uintptr(advice)) }

// Mseal seals the mapping (Linux 6.10).
func Mseal(b []byte) error { return memCall(unix.SYS_MSEAL, b, 0) }

func memCall(nr uintptr, b []byte, arg uintptr) error {
	_, _, errno := unix.Syscall(nr, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), arg)
	if errno != 0 {
		return errno
	}
	return nil
}

// Addr returns the address of the first byte of mapped memory.
func Addr(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }

// MemoryAt returns memory of this process that the caller knows is mapped, stays so, and is not of
// the Go heap.
func MemoryAt(addr uint64, length int) []byte {
	p := uintptr(addr)
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&p)), length)
}
