// Package medium is how bytes become durable: the one place that stores, flushes, fences and
// syncs persistent memory, and reads it again after a failure.
//
// A [Medium] is a range of bytes with offsets from 0. One protocol serves all kinds:
//
//	kind       what a store reaches   what makes it durable                survives
//	DAX        the CPU's caches       CLWB and SFENCE; DC CVAP and DSB     a power failure
//	PageCache  the page cache         pwritev2 with RWF_DSYNC, msync,      a power failure
//	                                  fdatasync
//	Volatile   memory                 nothing                              the end of the process, where it
//	                                                                       is a file on tmpfs; else nothing
//
// [Open] and [Create] find the kind by trying: a file system is DAX when it accepts MAP_SYNC,
// and never otherwise. [NewVolatile] is memory without a file. [Record] is memory of which
// every call is heard, for the explorer of crash states (package crash).
//
// # Three ways to write
//
//   - Store, Store8: visible at once, durable later. This is how a log is applied.
//   - Persist, PersistAll: what was stored in these ranges is durable on return. This is a
//     checkpoint. On DAX it costs a fence, and 10 to 20 ns a line; on an ordinary file a sync.
//   - Write, WriteAll, StorePersist8: visible and durable on return. This is how a record is
//     appended. On DAX it is non-temporal stores and one fence. On an ordinary file it is
//     one write with RWF_DSYNC, which syncs that range alone, however many other pages of the
//     file are dirty; for that to be fast the area was written and synced before, not only
//     allocated.
//
// What a failure leaves of stores that are not durable yet: see package crash/state. In short,
// an aligned word of 8 bytes is whole or absent. Store writes its words, and naturally aligned
// parts of words at its ends, in ascending order, so that a line holds a prefix of what was
// stored to it; words that were streamed (Write, Stream) come in no order at all.
//
// # Threads
//
// A fence waits for the flushes and the non-temporal stores of its own thread alone, and a
// goroutine may move to another thread between two calls. So what flushes or streams fences in
// the same call. Flush, Stream and Fence as calls of their own exist on a pinned [Thread]
// alone, whose goroutine stays on its thread.
//
// Instructions that happen to fence (a LOCK prefix, so each sync/atomic store on amd64) are
// never counted on.
//
// A Medium is safe for concurrent use, like memory is: it keeps no order between goroutines
// that touch the same bytes. A Thread serves the goroutine that pinned it. Close waits for
// nobody: stop using the medium first. A medium of [Record] is used by one goroutine at a
// time, unless its recorder is a [Scheduler].
//
// # Faults
//
// A sync that fails says [ErrSync]: what it covered is durable or lost for ever, reads still
// show it, and a later sync that succeeds does not bring it back. Whoever gets it stops
// acknowledging, and opens the file anew. A read of a line that the device can't read, or of a
// page that is no longer there, says [ErrFault] with the offset; Go code that looks at lent
// bytes ([Medium.View]) runs inside [Guard] for that. A full device is an error of
// [Medium.Extend], which allocates what it adds, and so never a fault of a store.
//
// # Protection
//
// A file is mapped twice, each between pages that can't be accessed: read-only, which is what
// View lends, and writable, at an address that does not leave this package. A stray store
// through anything that View lent faults.
package medium
