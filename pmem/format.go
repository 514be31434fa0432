package pmem

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
)

// Places that are the same in every pool, in bytes. All integers are little-endian.
const (
	superA, superB  = 0, 4096
	superSize       = 256
	tailOffset      = 512 // of a tail slot, behind each superblock
	tailSize        = 32
	rootsOffset     = 8192
	rootSize        = 64
	roots           = 64
	typesOffset     = rootsOffset + roots*rootSize
	typeEntrySize   = 64
	types           = 256
	logOffset       = typesOffset + types*typeEntrySize
	headerSize      = 40 // of a part of a record
	line            = 64 // to which records are aligned
	word            = 8
	blockSize       = 256 // bytes of an object under one CRC
	spanEntrySize   = 256
	spanBitmap      = 128 // offset of the bitmap in a span's entry
	descriptorSize  = 16
	objectHeader    = 16 // before the CRCs of the blocks
	leastSlot       = 64
	leastStep       = 32 // of which the offsets of slots are multiples
	leastSpan       = 4096
	mostSpan        = leastSlot * 8 * (spanEntrySize - spanBitmap)
	leastLog        = 1024
	mostLog         = 4 << 30
	mostSize        = (runOffsets + 1) * word // what a run can say
	mostZones       = 1 << 20                 // 8 MiB of volatile memory
	offsetBits      = 48
	lastIncarnation = 1<<16 - 1
)

// FormatVersion is that of the pools that this package makes. It opens no others.
const FormatVersion = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is the CRC32C that stands in a pool beside what it covers: rotated, and with a constant
// added. What it covers, and it, travel in records, which have a CRC32C as well: and that does not
// see when bytes and their plain CRC, right behind them, are replaced by others and theirs
// (docs/rfcs/0003).
func checksum(p []byte) uint32 { return masked(crc32.Checksum(unescaped(p), castagnoli)) }

func masked(crc uint32) uint32 { return bits.RotateLeft32(crc, 17) + 0xa282ead8 }

// entryChecksum is that of an entry of a table, which holds at its place alone.
func entryChecksum(off int64, b []byte) uint32 {
	var place [4]byte
	le.PutUint32(place[:], uint32(off))
	return masked(updateCRC(updateCRC(0, place[:]), b))
}

// updateCRC goes on with a plain CRC32C, as records have it.
func updateCRC(crc uint32, p []byte) uint32 { return crc32.Update(crc, castagnoli, unescaped(p)) }

var le = binary.LittleEndian

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }

// geometry is where the parts of a pool are.
type geometry struct {
	size      int64 // of the pool
	log       int64 // length of the log
	extent    int64 // of the log, which no part of a record crosses
	span      int64 // a power of two
	spanShift uint
	heap      int64 // where it begins
	zoneMask  int64 // spans of a zone, less one
	spans     int64 // in the heap, with those that hold tables
}

func newGeometry(size, log, extent, span int64) geometry {
	g := geometry{size: size, log: log, extent: extent, span: span}
	for g.spanShift = 12; 1<<g.spanShift < span; g.spanShift++ {
	}
	g.heap = roundUp(logOffset+log, span)
	g.zoneMask = span/spanEntrySize - 1
	g.spans = (size - g.heap) / span
	return g
}

// isTable reports whether a span holds the table of its zone.
func (g *geometry) isTable(i int64) bool { return i&g.zoneMask == 0 }

func (g *geometry) spanOffset(i int64) int64 { return g.heap + i<<g.spanShift }

// entryOffset is where a span's entry in the table of its zone is.
func (g *geometry) entryOffset(i int64) int64 {
	return g.spanOffset(i&^g.zoneMask) + (i&g.zoneMask)*spanEntrySize
}

// spanOf returns the span that an offset is in; it may be none of the heap.
func (g *geometry) spanOf(off int64) int64 { return (off - g.heap) >> g.spanShift }
