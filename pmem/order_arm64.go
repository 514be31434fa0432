package pmem

import "sync/atomic"

var ordered atomic.Uint64

// orderReads keeps the reads before it before those behind it: an atomic addition releases and
// acquires.
func orderReads() { ordered.Add(1) }

// release stores a word after all stores before it.
func release(w *atomic.Uint64, v uint64) { w.Store(v) }
