package model

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"

	"github.com/safevma/safevma/pmem/medium"
)

const (
	superA, superB = 0, 4096
	superSize      = 32
	tailOffset     = 512 // behind a superblock
	logOffset      = 8192
	slotSize       = 128
	wordsOffset    = 12288
	bitmapOffset   = 12800
	intentsOffset  = 13056
	sizeOffset     = 13184
	objectsOffset  = 13312
	// Size of the medium, in bytes, before it grows.
	Size = 16384
)

// Options of a pool.
type Options struct {
	Break   Break
	Slots   uint64 // of the log: 1 to 32
	Words   int    // of the user: 0 to 8
	Objects int    // 0 to 8
	Changes int    // that a slot takes: 1 to 5; zero is 5
}

// change is what a record does to a word: its low bits say how.
type change struct{ target, value uint64 }

// The ways of a change, in the low bits of its target.
const (
	put uint64 = iota
	set
	reset
	wayMask = 7
)

// Pool is an open pool.
type Pool struct {
	Options
	m    *medium.Medium
	rand *rand.Rand
	lock *medium.Mutex

	counter, generation uint64
	tail, head          position  // live records are those behind tail, up to head
	live                []*record // that were applied, oldest first
	durable             uint64    // the highest sequence known durable
	waiting             [][]change
	failed              error
	tailSlot            int64 // that is written next

	wordLocks  []*medium.Mutex
	turn       *medium.Cond // the appender's turn is over
	appending  bool
	committers []*committer // in sequence
	met        combination  // for tests
}

// position is a place in the log, counted in slots and never wrapped, and the sequence there.
type position struct{ slot, sequence uint64 }

func (p *Pool) broken(b Break) bool { return p.Break == b }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(words ...uint64) uint64 {
	return uint64(crc32.Checksum(encode(words), castagnoli))
}

func encode(words []uint64) []byte {
	var raw []byte
	for _, w := range words {
		raw = binary.LittleEndian.AppendUint64(raw, w)
	}
	return raw
}

func (p *Pool) read(off int64, n int) ([]uint64, error) {
	raw := make([]byte, 8*n)
	if err := p.m.Read(off, raw); err != nil {
		return nil, err
	}
	words := make([]uint64, n)
	for i := range words {
		words[i] = binary.LittleEndian.Uint64(raw[8*i:])
	}
	return words, nil
}
