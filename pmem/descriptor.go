package pmem

// descriptor is what the table of a zone says of a span, before the bitmap of its slots. One that
// was never used is all zeros.
//
//	 0  u8 class, u8 used: 1; u16 base: no incarnation in it was higher when the class was set
//	 4  u32 spans of a big object, in its first; number of the span in it, in the others
//	 8  u32 checksum of the number of the span in the pool (u32) and all before it
//	12  u32 reserved: 0
//	..  reserved: 0
//	128 bitmap of the slots that have an object: u64 words, lowest bit first
type descriptor struct {
	class uint8
	used  bool
	base  uint16
	run   uint32
}

func (d descriptor) word() uint64 {
	w := uint64(d.class) | uint64(d.base)<<16 | uint64(d.run)<<32
	if d.used {
		w |= 1 << 8
	}
	return w
}

func descriptorCRC(span int64, w uint64) uint32 {
	var b [12]byte
	le.PutUint32(b[:], uint32(span))
	le.PutUint64(b[4:], w)
	return checksum(b[:])
}

func (d descriptor) encode(span int64) []byte {
	b := make([]byte, descriptorSize)
	le.PutUint64(b, d.word())
	le.PutUint32(b[8:], descriptorCRC(span, d.word()))
	return b
}

func (g *geometry) decodeDescriptor(span int64, b []byte) (descriptor, error) {
	w, crc := le.Uint64(b), le.Uint64(b[8:])
	if w == 0 && crc == 0 {
		return descriptor{}, nil
	}
	d := descriptor{class: uint8(w), used: w>>8&1 != 0, base: uint16(w >> 16), run: uint32(w >> 32)}
	switch {
	case crc != uint64(descriptorCRC(span, w)):
		return d, damaged(g.entryOffset(span), "the descriptor of span %d: its CRC is wrong", span)
	case !g.validClass(d.class) || w>>8&0xff != 1:
		return d, damaged(g.entryOffset(span), "the descriptor of span %d: class %d, used %d", span, d.class, w>>8&0xff)
	case d.class == classHead && (d.run == 0 || int64(d.run) > g.zoneMask+1-span&g.zoneMask || span+int64(d.run) > g.spans):
		return d, damaged(g.entryOffset(span), "the descriptor of span %d: a run of %d spans", span, d.run)
	}
	return d, nil
}
