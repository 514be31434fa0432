package model

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"

	"github.com/safevma/safevma/pmem/medium"
)

const (
	superA, superB = 0, 4096
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

// Break is a rule that is broken, on purpose, at one place of the code.
type Break uint8

const (
	// Intact breaks nothing.
	Intact Break = iota
	// R1 lets a transaction store its last change in place, past the log.
	R1
	// R2 writes an object directly while live records cover its space.
	R2
	// R3 acknowledges a record that no fence has made durable.
	R3
	// R4Generation keeps the generation when the pool is opened.
	R4Generation
	// R4Durable appends before the superblocks are durable.
	R4Durable
	// R5Applied moves the tail past changes that were not flushed.
	R5Applied
	// R5Tail overwrites the log before the tail is durable.
	R5Tail
	// R6 applies, and lets readers see it, before the fence.
	R6
	// R7 takes a damaged record for the end of the log.
	R7
	// Rewrite replays a log that may be in the page cache alone.
	Rewrite
	// R3Taken acknowledges a committer when the appender has taken its record.
	R3Taken
	// EraseLog leaves copies of what is erased in the log.
	EraseLog
	// EraseCleared clears an erase intent before the scrub is durable.
	EraseCleared
	// EraseUnfinished leaves intents open that recovery finds.
	EraseUnfinished
	// GrowLogged logs a size before the space is durable.
	GrowLogged
	// ChainLast has a CRC over the last part of a chain alone.
	ChainLast
)

// Options of a pool.
type Options struct {
	Break   Break
	Slots   uint64 // of the log: 1 to 32
	Words   int    // of the user: 1 to 8
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
	tail, head          position // live records are those behind tail, up to head
	durable             uint64   // the highest sequence known durable
	waiting             [][]change
	failed              error
	live                []change // what live records change
	slot                int64    // of the tail that is written next

	wordLocks  []*medium.Mutex
	turn       *medium.Cond // the appender's turn is over
	appending  bool
	committers []*committer // in sequence
	combined   int          // the most records that one write had
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
