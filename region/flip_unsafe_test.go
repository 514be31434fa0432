package region_test

import (
	"runtime"
	"syscall"
	"unsafe"
)

// flip changes a byte beside a slice.
func flip(b []byte, at int) {
	*(*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), at)) ^= 1
}

// peek reads one.
//
//go:noinline
func peek(b []byte, at int) byte {
	return *(*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), at))
}

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// beside is a slice with a page more on both sides.
func beside(b []byte) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), -4096)), len(b)+2*4096)
}

// crash ends the process as one that takes a fault while it blocks the signal: by the kernel's
// hand, without a word of the Go runtime.
func crash() {
	runtime.LockOSThread()
	all := ^uint64(0)
	const setMask = 2 // SIG_SETMASK
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, setMask, uintptr(unsafe.Pointer(&all)), 0, 8, 0, 0)
	page, _ := syscall.Mmap(-1, 0, 4096, syscall.PROT_NONE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	page[0] = 1
}
