package pmem

import "sync/atomic"

var ordered atomic.Uint64

// orderReads keeps the reads before it before those behind it: an atomic addition releases and
// acquires.
func orderReads() { ordered.Add(1) }
