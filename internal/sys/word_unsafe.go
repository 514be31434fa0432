package sys

import "unsafe"

// LoadWord loads 8 bytes at the begin of b with one instruction, whatever its alignment. The
// race detector does not see it.
//
//go:norace
//go:noinline
func LoadWord(b []byte) uint64 { return *(*uint64)(unsafe.Pointer(unsafe.SliceData(b))) }

// StoreWord stores 8 bytes at the begin of b with one instruction.
//
//go:norace
//go:noinline
func StoreWord(b []byte, word uint64) { *(*uint64)(unsafe.Pointer(unsafe.SliceData(b))) = word }

// StoreThenLoad stores 1 to a and then loads b, with nothing between them.
//
//go:norace
//go:noinline
func StoreThenLoad(a, b []byte) uint64 {
	*(*uint64)(unsafe.Pointer(unsafe.SliceData(a))) = 1
	return *(*uint64)(unsafe.Pointer(unsafe.SliceData(b)))
}

// StoreBoth stores word to a and then to b.
//
//go:norace
//go:noinline
func StoreBoth(a, b []byte, word uint64) {
	*(*uint64)(unsafe.Pointer(unsafe.SliceData(a))) = word
	*(*uint64)(unsafe.Pointer(unsafe.SliceData(b))) = word
}

// LoadBoth loads from a and then from b.
//
//go:norace
//go:noinline
func LoadBoth(a, b []byte) (first, second uint64) {
	first = *(*uint64)(unsafe.Pointer(unsafe.SliceData(a)))
	second = *(*uint64)(unsafe.Pointer(unsafe.SliceData(b)))
	return first, second
}
