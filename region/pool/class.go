package pool

import "sync"

// A page of a class is
//
//	pattern 8 | slot: data, pattern 8 | slot: data, pattern 8 | ... | pattern
//
// so that 8 bytes or more of pattern are on both sides of each slot.
const (
	pageSize = 4096 // of a pool; a multiple of them is a page of the kernel
	word     = 8    // bytes of pattern between slots
)

// rooms are the bytes of data in a slot, by class: those that waste the least for so many slots
// a page, and what keys have.
var rooms = [...]int{16, 32, 48, 64, 96, 128, 192, 264, 328, 400, 496, 672, 1008, 1352, 2032, MaxSize}

// MaxSize is the most bytes of a secret: a slot is within a page. What is bigger deserves a
// region of its own.
const MaxSize = 4080

const most = (pageSize - word) / (16 + word) // slots of a page

// classOf finds the class by words of data, rounded up.
var classOf = func() (table [MaxSize/word + 1]uint8) {
	c := 0
	for words := range table {
		if words*word > rooms[c] {
			c++
		}
		table[words] = uint8(c)
	}
	return table
}()

// class holds the pages that are cut into slots of one size.
type class struct {
	mu sync.Mutex
	// partial are the pages with a free slot, in a ring; nil if there is none. Protected by mu.
	partial *page
}

func slotsOf(c uint8) int { return (pageSize - word) / (rooms[c] + word) }

// pass waits until who has the lock gives it back.
func (c *class) pass() {
	c.mu.Lock()
	defer c.mu.Unlock()
}

// put adds a page to those with a free slot.
//
// Preconditions: c.mu is held, the page is not in the ring.
func (c *class) put(p *page) {
	if c.partial == nil {
		p.next, p.prev = p, p
		c.partial = p
		return
	}
	p.next, p.prev = c.partial, c.partial.prev
	p.prev.next, p.next.prev = p, p
}

// drop takes a page out of the ring.
//
// Preconditions: c.mu is held, the page is in the ring.
func (c *class) drop(p *page) {
	if c.partial == p {
		c.partial = p.next
	}
	if p.next == p {
		c.partial = nil
	}
	p.prev.next, p.next.prev = p.next, p.prev
	p.next, p.prev = nil, nil
}
