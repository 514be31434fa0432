package pmem

import "unsafe"

// bytesOf lends the memory of a value whose layout was checked: it holds no pointers.
func bytesOf[T any](v *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}

// valueAt lends bytes of the pool as a value whose layout was checked. They are aligned to 8 bytes,
// as every plain type is.
func valueAt[T any](b []byte) *T {
	return (*T)(unsafe.Pointer(unsafe.SliceData(b)))
}

// unescaped hides from the compiler where bytes go: hash/crc32 computes through a variable, so that it
// must assume that they are kept, and has all that is hashed allocated. They are not.
func unescaped(b []byte) []byte {
	hidden := *(*slice)(unsafe.Pointer(&b))
	return *(*[]byte)(unsafe.Pointer(&hidden))
}

// slice is what a slice is, without a pointer that the compiler follows.
type slice struct {
	at       uintptr
	len, cap int
}
