package line

import "unsafe"

// Flush starts the write-back of the lines of n bytes at p.
//
//go:noescape
func Flush(p unsafe.Pointer, n uintptr)

// FlushFence starts the write-back of the lines of n bytes at p, and waits for it.
//
//go:noescape
func FlushFence(p unsafe.Pointer, n uintptr)

// Fence waits for all write-backs and streamed words of the calling thread.
func Fence()

// Stream stores n bytes at dst past the caches. dst and n are multiples of 8.
//
//go:noescape
func Stream(dst, src unsafe.Pointer, n uintptr)

// StreamFence is Stream and Fence.
//
//go:noescape
func StreamFence(dst, src unsafe.Pointer, n uintptr)

// StoreFlushFence stores a word by one move, starts the write-back of its line, and waits for
// it. p is a multiple of 8.
//
//go:noescape
func StoreFlushFence(p unsafe.Pointer, v uint64)

// Copy stores n bytes at dst in ascending order: words, or two words of which the CPU makes
// one, and at the ends naturally aligned parts of words.
//
//go:noescape
func Copy(dst, src unsafe.Pointer, n uintptr)

// Prefetch fetches the lines of n bytes at p to be written soon.
//
//go:noescape
func Prefetch(p unsafe.Pointer, n uintptr)
