package pool

import (
	"encoding/binary"
	"math/bits"
)

// pattern is what an arena holds where nothing is handed out: a word for each 8 bytes, of the
// pool's random number and the place.
type pattern uint64

// at returns the word for the 8 bytes at an offset of the arena, a multiple of 8.
func (k pattern) at(off int) uint64 {
	return bits.RotateLeft64(uint64(k)+uint64(off)*0x9e3779b97f4a7c15, off>>3)
}

// byteAt returns the byte at an offset of the arena.
func (k pattern) byteAt(off int) byte {
	var b [word]byte
	binary.NativeEndian.PutUint64(b[:], k.at(off&^(word-1)))
	return b[off%word]
}

// fill puts the pattern into b, whose first byte is at an offset of the arena.
func (k pattern) fill(b []byte, off int) {
	for ; off%word != 0 && len(b) > 0; off, b = off+1, b[1:] {
		b[0] = k.byteAt(off)
	}
	for ; len(b) >= word; off, b = off+word, b[word:] {
		binary.NativeEndian.PutUint64(b, k.at(off))
	}
	for i := range b {
		b[i] = k.byteAt(off + i)
	}
}

// differs returns the index of the first byte of b that is not the pattern's, or -1.
func (k pattern) differs(b []byte, off int) int {
	i := 0
	for ; (off+i)%word != 0 && i < len(b); i++ {
		if b[i] != k.byteAt(off+i) {
			return i
		}
	}
	for ; i+word <= len(b) && binary.NativeEndian.Uint64(b[i:]) == k.at(off+i); i += word {
	}
	for ; i < len(b); i++ {
		if b[i] != k.byteAt(off+i) {
			return i
		}
	}
	return -1
}
