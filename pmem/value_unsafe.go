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
