//go:build amd64

package pmem

import (
	"sync/atomic"
	"unsafe"
)

// orderReads keeps the reads before it before those behind it. On amd64 all are (Intel SDM,
// volume 3, 9.2.2).
func orderReads() {}

// release stores a word after all stores before it, as amd64 does by itself (same place). An atomic
// store of Go is an exchange, which waits besides until the stores before it have left for the caches:
// those to objects often miss them. It is not inlined, so that the compiler leaves it where it is.
//
//go:noinline
func release(w *atomic.Uint64, v uint64) {
	if raceEnabled { // which is to know of it
		w.Store(v)
		return
	}
	*(*uint64)(unsafe.Pointer(w)) = v
}
