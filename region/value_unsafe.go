package region

import "unsafe"

// valueAt lends bytes of a region as a value of a type that holds no Go pointers. They are as many
// as it has, and begin at a multiple of 8.
func valueAt[T any](b []byte) *T { return (*T)(unsafe.Pointer(unsafe.SliceData(b))) }
