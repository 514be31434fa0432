package pmem

import (
	"sync/atomic"

	"github.com/safevma/safevma/pmem/medium"
)

// A pool has a stripe for each 256 bytes, within bounds.
const leastStripes, mostStripes = 1 << 6, 1 << 14

// stripes are versioned locks, each for the objects of many offsets: the sequence of the last
// transaction that changed one, shifted left, and in the lowest bit whether a committer holds it.
// They are volatile. A reader copies between two looks at the version (a seqlock). In a program
// built with -race it takes a lock besides, since the race detector does not know seqlocks.
type stripes struct {
	words []atomic.Uint64
	shift uint // 64 less the bits of a number of a stripe
	m     *medium.Medium
	races []*medium.Mutex // with -race only
	stale *medium.Mutex   // with -race only: see past
}

const stripeHeld = 1

func (s *stripes) init(m *medium.Medium, size int64) {
	n := leastStripes
	for s.shift = 64 - 6; n < mostStripes && int64(n)*256 < size; n *= 2 {
		s.shift--
	}
	s.words, s.m = make([]atomic.Uint64, n), m
	if raceEnabled {
		s.stale = m.NewMutex()
		for range n {
			s.races = append(s.races, m.NewMutex())
		}
	}
}

// of returns the stripe of an object.
func (s *stripes) of(off int64) uint32 {
	return uint32(uint64(off/word) * 0x9e3779b97f4a7c15 >> s.shift)
}

// await returns the version of a stripe that nobody holds.
func (s *stripes) await(i uint32) uint64 {
	for {
		if v := s.words[i].Load(); v&stripeHeld == 0 {
			return v
		}
		s.m.Await(func() bool { return s.words[i].Load()&stripeHeld == 0 })
	}
}

// lock takes a stripe, and returns its version.
func (s *stripes) lock(i uint32) uint64 {
	for {
		v := s.await(i)
		if s.words[i].CompareAndSwap(v, v|stripeHeld) {
			if raceEnabled {
				s.races[i].Lock()
			}
			return v
		}
	}
}

// unlock releases a stripe, with the version that it has from now on.
func (s *stripes) unlock(i uint32, version uint64) {
	if raceEnabled {
		s.races[i].Unlock()
	}
	release(&s.words[i], version)
}

// beginRead holds a stripe while it is read. It is for programs built with -race only.
func (s *stripes) beginRead(i uint32) {
	s.races[i].Lock()
	s.stale.Lock()
}

func (s *stripes) endRead(i uint32) {
	s.stale.Unlock()
	s.races[i].Unlock()
}

// past stores to space in which nothing is, without its stripes. Who follows an old reference may be
// copying from there, and throws that away when it sees that the span is another one; the race
// detector does not know that either.
func (s *stripes) past(off int64, data []byte) error {
	if raceEnabled {
		s.stale.Lock()
		defer s.stale.Unlock()
	}
	return s.m.Store(off, data, medium.Direct)
}
