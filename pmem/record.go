package pmem

import "fmt"

// A record is a chain of parts, most often of one. No part crosses an extent of the log, and a
// part that is not the last fills its extent. The bodies of the parts, one after the other, are
// the runs.
//
//	 0  u32 CRC32C, in the last part: of the body and then the header behind this field, of each
//	    part in turn; 0 in the others
//	 4  u32 length of this part in bytes, with this header
//	 8  u64 generation (R4)
//	16  u64 sequence
//	24  u64 the highest sequence known durable when this was written (R7)
//	32  u16 number of the part, from 0
//	34  u16 1: another part follows
//	36  u32 reserved: 0
//	40  body
//
// A run is a word, and words behind it:
//
//	bits  0..39 offset in the pool, in words
//	bits 40..42 kind
//	bits 43..63 number of words behind it
//
// Kinds: 1 puts the words there, 2 sets and 3 clears the bits of a word. The others are reserved:
// changes of labels, audit entries, intents of erasing, the size of the pool.
const (
	runPut   = 1
	runSet   = 2
	runClear = 3

	partMore    = 1
	mostRun     = (1<<21 - 1) * word
	runOffsets  = 1<<40 - 1
	runKinds    = 7
	runKindBit  = 40
	runWordsBit = 43
)

func runHeader(kind, off, bytes int64) uint64 {
	return uint64(off/word) | uint64(kind)<<runKindBit | uint64(bytes/word)<<runWordsBit
}

// run is a change that a record says.
type run struct {
	kind, off int64
	data      []byte
}

// nextRun takes the first run off a body.
func nextRun(body []byte) (run, []byte, error) {
	if len(body) < word {
		return run{}, nil, fmt.Errorf("a record with %d bytes behind its last run", len(body))
	}
	h := le.Uint64(body)
	n := int64(h>>runWordsBit) * word
	if n > int64(len(body))-word {
		return run{}, nil, fmt.Errorf("a run of %d bytes where %d are left of the record", n, len(body)-word)
	}
	r := run{kind: int64(h >> runKindBit & runKinds), off: int64(h&runOffsets) * word, data: body[word : word+n]}
	return r, body[word+n:], nil
}

// validate holds a run against the pool: it changes what is no superblock and no log.
func (g *geometry) validate(r run) error {
	inTables := r.off >= rootsOffset && r.off+int64(len(r.data)) <= logOffset
	inHeap := r.off >= g.heap && r.off <= g.size-int64(len(r.data))
	switch {
	case r.kind < runPut || r.kind > runClear:
		return fmt.Errorf("a run of kind %d: %w", r.kind, ErrFormat)
	case r.kind != runPut && len(r.data) != word:
		return fmt.Errorf("a mask of %d bytes", len(r.data))
	case !inTables && !inHeap:
		return fmt.Errorf("a run of %d bytes at offset %d, which is not the heap", len(r.data), r.off)
	}
	return nil
}

// header fills in the header of a part. The CRC is that of the parts before it, or 0.
func putHeader(h []byte, length int, generation, sequence, durable uint64, part int, more bool) {
	le.PutUint32(h, 0)
	le.PutUint32(h[4:], uint32(length))
	le.PutUint64(h[8:], generation)
	le.PutUint64(h[16:], sequence)
	le.PutUint64(h[24:], durable)
	le.PutUint16(h[32:], uint16(part))
	flags := uint16(0)
	if more {
		flags = partMore
	}
	le.PutUint16(h[34:], flags)
	le.PutUint32(h[36:], 0)
}

// chainCRC goes on with the CRC of a chain over a part.
func chainCRC(crc uint32, header, body []byte) uint32 {
	return updateCRC(updateCRC(crc, body), header[4:headerSize])
}
