package sys

import "unsafe"

// CallCode calls the machine code at the begin of b, which takes no arguments, returns a
// number, and touches nothing but the register for it, as [ReturnCode] makes it. A fault
// is one of the calling goroutine.
func CallCode(b []byte) int {
	// A Go function value points to a word that points to the code.
	entry := unsafe.Pointer(unsafe.SliceData(b))
	value := unsafe.Pointer(&entry)
	return (*(*func() int)(unsafe.Pointer(&value)))()
}
