// Package region gives Go programs memory with guarantees, and checks each against what the
// kernel really did.
//
// [Map] is asked for a size and for guarantees, such as [Secret], [Resident] or [Guarded], and
// returns a [Region] that has exactly those, or an [*Error] that names the one that this machine
// or this combination can't give. Nothing is silently weaker. [Region.Verify] then looks at the
// region from the kernel's side, and at what happens when its guarantees are attacked; a [Scrub]
// looks for corruption while the program runs.
//
// The memory is outside the Go heap: the garbage collector neither moves nor scans it, so it
// must not hold Go pointers.
//
// # After Close
//
// [Region.Close] wipes the memory and gives it back. A slice of it that is used afterwards
// faults, which a Go program can't recover from unless it asked for that
// (runtime/debug.SetPanicOnFault); the methods of the region refuse with [ErrClosed]. Some sealed
// memory can't be taken away, and a stale slice of it does not fault: see [Sealed] and [ReadOnly].
// Nothing closes a region that is forgotten.
//
// # Concurrency
//
// All methods may be called concurrently. Read excludes Write and Write excludes both, on the
// same region; neither may be called from within the function of the other, and Close is refused
// while either runs. What is done through [Region.Bytes] is for the caller to order.
//
// # Limits
//
// Locked and secret memory counts against RLIMIT_MEMLOCK (root is exempt); guards don't. Secret
// memory splits the kernel's linear map into small pages, until the next boot: use little of it,
// and reuse it (package pool). docs/region/regions.md says what each guarantee stops, and what
// still reads the memory.
package region
