//go:build amd64

package line

import "unsafe"

// Store stores a word by one move, after all stores before it: amd64 keeps stores in order.
// p is a multiple of 8.
func Store(p unsafe.Pointer, v uint64) { *(*uint64)(p) = v }
