package pool

import (
	"math/bits"
	"sync/atomic"
)

// noClass is of a page that is cut into no slots.
const noClass = 0xff

// page is a page of an arena.
type page struct {
	pool  *Pool
	arena *arena
	off   int    // in the arena, in bytes
	bytes []byte // nil in a windowed pool

	// class changes with the lock of the class and Pool.mu held; to read it without is a hint.
	class atomic.Uint32

	// Protected by the lock of its class, or by Pool.mu while it has none.
	slots      []slot // of the last class that it had
	free       [(most + 63) / 64]uint64
	freeCount  int
	cursor     int // where the search for a free slot goes on: the slot freed last is taken last
	next, prev *page
}

// slot is where a secret is. It outlives the page's class, for handles that are stale.
type slot struct {
	state atomic.Uint64 // see pack
	owner atomic.Pointer[Owner]
	page  *page
	size  atomic.Uint32 // of the secret, in bytes
	off   uint16        // of the data in the page
	room  uint16        // for data
	index uint16        // in the page
}

// The state of a slot: generation 48 bits | users 14 bits | kind 2 bits.
const (
	free      = iota // holds the pattern alone; the generation is that of the last secret
	busy             // between the others: belongs to the goroutine that made it so
	live             // holds a secret
	withdrawn        // was written while it was free: is never handed out again
	kindMask  = 3

	oneUser   = 1 << 2
	userMask  = (1<<14 - 1) << 2
	genShift  = 16
	mostUsers = 1<<14 - 1
	lastGen   = 1<<48 - 1 // a slot that had as many secrets is withdrawn: a stale handle never fits again
)

func pack(gen uint64, kind uint64) uint64 { return gen<<genShift | kind }

// cut makes slots of a class of the page. Slots of the class that it had before are used again.
//
// Preconditions: the page has no class, and holds the pattern alone; the class's lock and
// Pool.mu are held.
func (p *page) cut(c uint8) {
	n := slotsOf(c)
	if len(p.slots) != n || int(p.slots[0].room) != rooms[c] {
		p.slots = make([]slot, n)
		for i := range p.slots {
			s := &p.slots[i]
			s.page, s.index, s.room = p, uint16(i), uint16(rooms[c])
			s.off = uint16(word + i*(rooms[c]+word))
		}
	}
	p.free = [len(p.free)]uint64{}
	for i := range n {
		p.free[i/64] |= 1 << (i % 64)
	}
	p.freeCount, p.cursor = n, 0
	p.class.Store(uint32(c))
}

// take returns the next free slot, as busy.
//
// Preconditions: the lock of the class is held, freeCount > 0.
func (p *page) take() *slot {
	i := p.nextFree()
	p.free[i/64] &^= 1 << (i % 64)
	p.freeCount--
	p.cursor = i + 1
	s := &p.slots[i]
	s.state.Store(s.state.Load()&^kindMask | busy)
	return s
}

func (p *page) nextFree() int {
	first := p.cursor / 64 % len(p.free)
	w := p.free[first] >> (p.cursor % 64) << (p.cursor % 64)
	if p.cursor >= 64*len(p.free) {
		w = p.free[first]
	}
	for i := first; ; w = p.free[i] {
		if w != 0 {
			return i*64 + bits.TrailingZeros64(w)
		}
		i = (i + 1) % len(p.free)
	}
}

// empty says whether no slot holds anything: all are free, and none was withdrawn.
func (p *page) empty() bool { return p.freeCount == len(p.slots) }
