package pmem

import (
	"math/bits"
)

// span is the volatile side of a span. What its descriptor says does not change: a span that
// changes gets a new one, so that who copies from it sees that. The rest is protected by
// heap.lock.
type span struct {
	descriptor
	index int64
	slot  int64  // bytes, 0 where it has no slots
	inv   uint64 // 2^32 / slot, rounded up: division by multiplication
	slots int64

	free    []uint64 // slots that nobody has, or reserved
	left    int64    // number of those
	changed uint64   // the last sequence in which something was freed here, or the class changed
	listed  bool     // in heap.partial
	held    bool     // reserved as a whole: for a big object, or while its class changes
}

func (g *geometry) newSpan(index int64, d descriptor) *span {
	s := &span{descriptor: d, index: index}
	if d.class != classNone && d.class < classHead {
		s.slot = classes[d.class]
		s.slots = g.span / s.slot
		s.inv = (1<<32 + uint64(s.slot) - 1) / uint64(s.slot)
		s.free = make([]uint64, (s.slots+63)/64)
	}
	return s
}

// slotAt returns the slot that begins so far from the begin of the span.
func (s *span) slotAt(rel int64) (int64, bool) {
	if s.slot == 0 {
		return 0, s.class == classHead && rel == 0
	}
	i := int64(uint64(rel) * s.inv >> 32)
	return i, i*s.slot == rel && i < s.slots
}

// room is how many bytes an object that begins here may take.
func (s *span) room(g *geometry) int64 {
	if s.slot == 0 {
		return int64(s.run) * g.span
	}
	return s.slot
}

// fill sets the free slots from the bitmap of those that are taken.
func (s *span) fill(taken func(word int64) (uint64, error)) error {
	for i := range s.free {
		w, err := taken(int64(i))
		if err != nil {
			return err
		}
		valid := ^uint64(0)
		if n := s.slots - int64(i)*64; n < 64 {
			valid = 1<<n - 1
		}
		s.free[i] = ^w & valid
		s.left += int64(bits.OnesCount64(s.free[i]))
	}
	return nil
}

// take reserves a slot, or returns -1.
func (s *span) take() int64 {
	for i, w := range s.free {
		if w != 0 {
			bit := int64(bits.TrailingZeros64(w))
			s.free[i] &^= 1 << bit
			s.left--
			return int64(i)*64 + bit
		}
	}
	return -1
}

// give makes a slot free. It may be so already: where the bitmap was damaged.
func (s *span) give(slot int64) {
	if bit := uint64(1) << (slot % 64); s.free[slot/64]&bit == 0 {
		s.free[slot/64] |= bit
		s.left++
	}
}

// empty reports whether it has slots, and nobody has one.
func (s *span) empty() bool { return s.slot > 0 && s.left == s.slots && !s.held }

// bitmapWord is where the bit of a slot is, and the bit.
func (g *geometry) bitmapWord(s *span, slot int64) (off int64, mask uint64) {
	return g.entryOffset(s.index) + spanBitmap + slot/64*word, 1 << (slot % 64)
}
