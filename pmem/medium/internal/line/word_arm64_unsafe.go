//go:build arm64

package line

import (
	"sync/atomic"
	"unsafe"
)

// Store stores a word by one move, after all stores before it: on arm64 that is a
// store-release. p is a multiple of 8.
func Store(p unsafe.Pointer, v uint64) { atomic.StoreUint64((*uint64)(p), v) }
