package pmem

import (
	"fmt"

	"github.com/safevma/safevma/pmem/medium"
)

const magic = "safevma\x00"

// superblock says what and where everything is. There are two copies. R4: each write raises the
// counter, and the valid copy with the highest one wins.
//
//	  0  magic "safevma\0"
//	  8  u32 format version, u32 bytes of a superblock
//	 16  u64 features that a reader must know
//	 24  u64 features that a writer must know
//	 32  u64 features that nobody must know
//	 40  16 bytes: id of the pool
//	 56  u64 counter
//	 64  u64 generation
//	 72  u64 sequence: the last one before this opening
//	 80  u64 size of the pool
//	 88  u64 offset of the log
//	 96  u64 length of the log
//	104  u64 length of an extent of the log
//	112  u64 offset of the heap
//	120  u64 length of a span
//	128  u64 offset of the roots, 136 u64 of the types
//	144  u64 offset of the table of labels: 0 in this version
//	152  reserved: 0
//	252  u32 checksum of all before it
type superblock struct {
	id                            [16]byte
	counter, generation, sequence uint64
	size, log, extent, span       int64

	writers    uint64 // features that a writer must know: a pool that has one is not opened to be written
	compatible uint64 // features that nobody must know. They are kept, and so is what is reserved
	reserved   [superSize - 4 - superReserved]byte
}

const superReserved = 152

func (s *superblock) encode() []byte {
	b := make([]byte, superSize)
	copy(b, magic)
	le.PutUint32(b[8:], FormatVersion)
	le.PutUint32(b[12:], superSize)
	copy(b[40:], s.id[:])
	g := newGeometry(s.size, s.log, s.extent, s.span)
	for i, v := range []uint64{s.counter, s.generation, s.sequence, uint64(s.size), logOffset, uint64(s.log), uint64(s.extent),
		uint64(g.heap), uint64(s.span), rootsOffset, typesOffset} {
		le.PutUint64(b[56+8*i:], v)
	}
	le.PutUint64(b[24:], s.writers)
	le.PutUint64(b[32:], s.compatible)
	copy(b[superReserved:], s.reserved[:])
	le.PutUint32(b[superSize-4:], checksum(b[:superSize-4]))
	return b
}

// decodeSuperblock returns nil where there is none that is valid. One that is valid and not
// understood is an ErrFormat.
func decodeSuperblock(off int64, b []byte) (*superblock, error) {
	if string(b[:8]) != magic || le.Uint32(b[superSize-4:]) != checksum(b[:superSize-4]) {
		return nil, nil
	}
	if v := le.Uint32(b[8:]); v != FormatVersion {
		return nil, fmt.Errorf("superblock at offset %d: %w: version %d, and this is version %d", off, ErrFormat, v, FormatVersion)
	}
	if must := le.Uint64(b[16:]); must != 0 {
		return nil, fmt.Errorf("superblock at offset %d: %w: features %#x", off, ErrFormat, must)
	}
	at := func(i int) uint64 { return le.Uint64(b[i:]) }
	s := &superblock{counter: at(56), generation: at(64), sequence: at(72),
		size: int64(at(80)), log: int64(at(96)), extent: int64(at(104)), span: int64(at(120)), writers: at(24), compatible: at(32)}
	copy(s.id[:], b[40:])
	copy(s.reserved[:], b[superReserved:])
	if err := s.validate(at(88), at(112), at(128), at(136), at(144)); err != nil {
		return nil, fmt.Errorf("superblock at offset %d: %w", off, err)
	}
	return s, nil
}

// validate holds the fields against each other.
func (s *superblock) validate(log, heap, roots, types, labels uint64) error {
	if err := validateSizes(s.size, s.log, s.extent, s.span); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	g := newGeometry(s.size, s.log, s.extent, s.span)
	if log != logOffset || heap != uint64(g.heap) || roots != rootsOffset || types != typesOffset || labels != 0 {
		return fmt.Errorf("%w: log at %d, heap at %d, roots at %d, types at %d, labels at %d", ErrFormat, log, heap, roots, types, labels)
	}
	return nil
}

func validateSizes(size, log, extent, span int64) error {
	switch {
	case span < leastSpan || span > mostSpan || span&(span-1) != 0:
		return fmt.Errorf("a span of %d bytes: it is a power of two from %d to %d", span, leastSpan, mostSpan)
	case extent < 2*line || extent%line != 0:
		return fmt.Errorf("an extent of the log of %d bytes: it is a multiple of %d, and at least %d", extent, line, 2*line)
	case log < leastLog || log%extent != 0 || log/extent < 2 || log > mostLog:
		return fmt.Errorf("a log of %d bytes: it has at least two extents of %d bytes, and %d to %d bytes", log, extent, leastLog, mostLog)
	case size > mostSize || size > mostZones*span/spanEntrySize*span:
		return fmt.Errorf("a size of %d bytes: it is at most %d, and with spans of %d bytes %d", size, mostSize, span, min(mostSize, mostZones*span/spanEntrySize*span))
	}
	if least := leastSize(log, span); size < least || size%word != 0 {
		return fmt.Errorf("a size of %d bytes: with this log and these spans it is a multiple of %d, and at least %d", size, word, least)
	}
	return nil
}

// leastSize is that of a pool whose heap has one table and one span.
func leastSize(log, span int64) int64 { return roundUp(logOffset+log, span) + 2*span }

// readSuperblocks takes the valid one with the highest counter (R4), and returns where the other
// one is. A place that can't be read is like one that is not valid, as long as the other is. What
// either says that a writer must know counts.
func readSuperblocks(m *medium.Medium) (best *superblock, other int64, err error) {
	if m.Size() < superB+superSize {
		return nil, 0, fmt.Errorf("%w: the file has %d bytes", ErrNoPool, m.Size())
	}
	var unread error
	var writers uint64
	for _, off := range []int64{superA, superB} {
		b := make([]byte, superSize)
		if err := m.Read(off, b); err != nil {
			unread = err
			continue
		}
		s, err := decodeSuperblock(off, b)
		if err != nil {
			return nil, 0, err
		}
		if s != nil {
			writers |= s.writers
		}
		if s != nil && (best == nil || s.counter > best.counter) {
			best, other = s, superA+superB-off
		}
	}
	switch {
	case best == nil && unread != nil:
		return nil, 0, unread
	case best == nil:
		return nil, 0, ErrNoPool
	case m.Size() < best.size:
		return nil, 0, fmt.Errorf("%w: the file has %d bytes, and the pool %d: it was cut off", ErrDamage, m.Size(), best.size)
	}
	best.writers = writers
	return best, other, nil
}

// writable says why a pool can be read, and not written.
func (s *superblock) writable() error {
	if s.writers == 0 {
		return nil
	}
	return fmt.Errorf("%w: it can be read, and not opened to be written: features %#x", ErrFormat, s.writers)
}

// begin writes both superblocks, the older one first, with an empty log and a new generation.
// R4: both are durable before anything is appended.
func (p *Pool) begin(first int64) error {
	// Randomness that is injected repeats; the counter does not.
	p.super.generation = p.options.Rand()&^0xffff | (p.super.counter+1)&0xffff
	p.super.sequence = p.head.sequence
	p.tail, p.head = position{0, p.head.sequence}, position{0, p.head.sequence}
	p.durable = p.head.sequence
	for _, off := range []int64{first, superA + superB - first} {
		p.super.counter++
		if err := p.m.Write(off, p.super.encode(), medium.Superblock); err != nil {
			return err
		}
	}
	return nil
}
