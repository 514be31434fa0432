// Package pool keeps many small secrets in few mappings: controlled access pools.
//
//	p, err := pool.New(pool.Options{Size: 64 << 10, Guarantees: []region.Option{region.Resident(), region.Guarded()}})
//	...
//	s, err := p.Alloc(32)
//	err = s.Write(func(b []byte) error { _, err := rand.Read(b); return err })
//	err = s.Read(func(b []byte) error { return use(b) })
//	err = s.Free()
//
// A pool takes its memory from regions with the guarantees that the caller chose, in arenas of
// whole pages. An arena is one VMA, with what guards it, however many secrets it holds: 1,500
// secrets of 32 bytes need 15 pages, and so fit under a limit of 64 KiB for locked memory. All
// that describes the slots is outside of the locked bytes, on the Go heap; it holds no byte of
// a secret. Alloc and Free make no system call and no Go allocation once the pages that they
// need are assigned, but in a pool whose regions are windowed, where each access is a window.
//
// # What is found
//
// Every byte of an arena that is not handed out holds the pattern of its place, which is made of
// a random number of the pool: the 8 bytes before and behind each secret, what its class is larger
// than it, and all that is free. What was written where nothing was handed out is found, and where
// it is: around a secret when it is freed, in a free slot before it is handed out again, and
// everywhere by [Pool.Check]. A slot whose free bytes were written is withdrawn, since somebody
// may still write there. Freeing overwrites a secret with the pattern; Alloc hands out zeroes. So
// who reads what was freed gets neither the secret nor a key of zeroes.
//
// A [Secret] is a handle with a generation. Use after [Secret.Free], and a second Free, are
// errors, also when the slot is another's by then. What was read past a handle, through a slice
// that was kept from [Secret.Bytes] or out of a window, is not found.
//
// # Concurrency
//
// All methods are safe for concurrent use. The bytes of one secret are as those of a slice: who
// reads and writes them at one time sees to it himself. A secret in use by [Secret.Read] or
// [Secret.Write] can't be freed, nor its pool be closed: [ErrInUse]. In a windowed pool, all secrets
// of an arena are open while one is, a write waits for all who read in the arena, and a function
// that runs in a window must not call methods of the pool or its secrets: it would wait for itself.
//
// Lock order: inspecting; makingSealer; class.mu; Pool.mu. No lock is held while a function of the
// caller runs.
package pool
