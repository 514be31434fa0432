package region_test

import "unsafe"

// flip changes a byte beside a slice.
func flip(b []byte, at int) {
	*(*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), at)) ^= 1
}
