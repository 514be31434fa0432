package code

import (
	"fmt"

	"github.com/safevma/safevma/region"
)

// Program is machine code in an arena.
type Program struct {
	arena *Arena
	off   int
	size  int
	freed bool // protected by arena.mu
}

// Entry returns the address of the first byte, a multiple of 64. It can be executed after
// [Arena.Publish], until the program is freed or the arena closed.
func (p *Program) Entry() uintptr { return uintptr(p.arena.entry) + uintptr(p.off) }

// Len returns how many bytes the program has.
func (p *Program) Len() int { return p.size }

// Add stages a program of n bytes. write gets the staging buffer and the address from which the
// bytes will execute, and must not keep the buffer; what it does not write traps. If it fails, or
// panics, nothing was added. It must not call methods of the arena.
func (a *Arena) Add(n int, write func(to []byte, entry uintptr) error) (*Program, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.usable(); err != nil {
		return nil, failed("add", err)
	}
	if n < 1 {
		return nil, failed("add", region.ErrSize)
	}
	off, ok := a.chunks.take(n)
	if !ok {
		return nil, failed("add", fmt.Errorf("%w: %d bytes don't fit", ErrFull, n))
	}
	added := false
	defer func() {
		if !added { // the image is as it was
			a.drop(off, n)
		}
	}()
	if err := write(a.image[off:off+n:off+n], uintptr(a.entry)+uintptr(off)); err != nil {
		return nil, err
	}
	added = true
	a.high = max(a.high, off+n)
	a.dirty = true
	return &Program{arena: a, off: off, size: n}, nil
}

// Free gives the place of a program back. The caller sees to it that nobody executes it: from the
// next Publish on, it traps there, and later another program may be in its place.
func (p *Program) Free() error {
	a := p.arena
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.usable(); err != nil {
		return failed("free", err)
	}
	if p.freed {
		return failed("free", ErrFreed)
	}
	p.freed = true
	a.drop(p.off, p.size)
	a.dirty = true
	return nil
}

// drop fills the place of a program with traps.
//
// Precondition: a.mu is held.
func (a *Arena) drop(off, n int) {
	fillTraps(a.image[off : off+n])
	a.chunks.give(off, n)
}

// Stats are how much of an arena is used.
type Stats struct {
	Size      int // bytes that can have programs
	Used      int // bytes of programs, in whole chunks of 64
	Published int // bytes of pages that are executable
}

// Stats returns how much is used.
func (a *Arena) Stats() Stats {
	a.mu.Lock()
	defer a.mu.Unlock()
	return Stats{Size: len(a.place), Used: a.chunks.used * chunkSize, Published: a.mapped}
}
