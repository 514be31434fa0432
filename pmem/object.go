package pmem

// An object stands at the begin of a slot, or of a run of spans. The CRC of the header comes
// behind those of the blocks, so that a small object's CRCs and bytes are one run of a record.
//
//	 0  u16 incarnation, u8 state: 0 free, 1 live; u8 flags: 1 immutable
//	 4  u32 type
//	 8  u32 label: 0 in this version
//	12  u32 bytes of the object
//	16  u32 checksum of each block of 256 bytes; the last may be shorter
//	..  u32 checksum of all before it, exclusive or the lowest 32 bits of a 32nd of the offset in the pool
//	..  the bytes of the object, from a multiple of 8 on
//
// A free slot has its incarnation, the state 0, and the CRC. One that was never used is all zeros.
const (
	stateFree     = 0
	stateLive     = 1
	flagImmutable = 1
	freeHeader    = objectHeader + word
)

// Types of objects that every pool has. Others have the number of their entry from firstType on.
const (
	typeBytes      = 1
	typeDescriptor = 2
	firstType      = 16
)

// header is the first 16 bytes of an object.
type header struct {
	incarnation  uint16
	state, flags uint8
	typ, label   uint32
	size         uint32
}

func decodeHeader(b []byte) header {
	return header{le.Uint16(b), b[2], b[3], le.Uint32(b[4:]), le.Uint32(b[8:]), le.Uint32(b[12:])}
}

func (h *header) encode(b []byte) {
	le.PutUint64(b, uint64(h.incarnation)|uint64(h.state)<<16|uint64(h.flags)<<24|uint64(h.typ)<<32)
	le.PutUint64(b[8:], uint64(h.label)|uint64(h.size)<<32)
}

func blocksOf(size int64) int64 { return (size + blockSize - 1) / blockSize }

// bytesOffset is where the bytes of an object are, from its begin.
func bytesOffset(size int64) int64 {
	if size <= blockSize { // most are small
		return freeHeader
	}
	return objectHeader + roundUp(4*blocksOf(size)+4, word)
}

// spaceOf is what an object takes.
func spaceOf(size int64) int64 { return bytesOffset(size) + roundUp(size, word) }

// block returns the bytes of a block.
func block(b []byte, i int64) []byte { return b[i*blockSize : min((i+1)*blockSize, int64(len(b)))] }

// headCRC is the CRC of what stands before it at an offset: the header of an object and the CRCs of
// its blocks. It is right in this place alone, so that what was written to a wrong one is found.
func headCRC(off int64, head []byte) uint32 { return checksum(head) ^ uint32(off/leastStep) }

// seal computes the CRCs of an object that stands in image from its header on.
func seal(off int64, image []byte, size int64) {
	at, b := int64(objectHeader), image[bytesOffset(size):][:size]
	for i := range blocksOf(size) {
		le.PutUint32(image[at:], checksum(block(b, i)))
		at += 4
	}
	le.PutUint32(image[at:], headCRC(off, image[:at]))
}

// freed returns the header of a free slot.
func freed(off int64, incarnation uint16) (b [freeHeader]byte) {
	h := header{incarnation: incarnation}
	h.encode(b[:])
	le.PutUint32(b[objectHeader:], headCRC(off, b[:objectHeader]))
	return b
}

// freeIncarnation returns that of a free slot. One that is not free, or not valid, is damage.
func freeIncarnation(off int64, b []byte) (uint16, error) {
	if isZero(b[:freeHeader]) {
		return 0, nil
	}
	switch h := decodeHeader(b); {
	case le.Uint32(b[objectHeader:]) != headCRC(off, b[:objectHeader]) && h.state == stateFree:
		return 0, damaged(off, "the CRC of a free slot is wrong")
	case h.state != stateFree:
		return 0, damaged(off, "the slot is free, and the object in it is live")
	default:
		return h.incarnation, nil
	}
}

func isZero(b []byte) bool {
	for ; len(b) >= word; b = b[word:] {
		if le.Uint64(b) != 0 {
			return false
		}
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// checkHead checks the header of an object, and the CRCs of its blocks, which end with their own.
func checkHead(off int64, head []byte) error {
	end := len(head) - 4
	if le.Uint32(head[end:]) != headCRC(off, head[:end]) {
		return damaged(off, "the CRC of the header of an object is wrong")
	}
	return nil
}
