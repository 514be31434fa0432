package survival

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/safevma/safevma/pmem"
)

var le = binary.LittleEndian

// A blob is cells of 32 bytes, and a rest. Each cell proves itself: seed, index, version, and a
// hash of them. A change raises the version of a cell.
const cellSize = 32

// mix is splitmix64 (Steele, Lea, Flood, 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func putCell(b []byte, seed, index, version uint64) {
	le.PutUint64(b, seed)
	le.PutUint64(b[8:], index)
	le.PutUint64(b[16:], version)
	le.PutUint64(b[24:], mix(seed^mix(index^mix(version))))
}

// versionOf returns the version of a cell, if it proves itself.
func versionOf(b []byte, seed, index uint64) (uint64, error) {
	var want [cellSize]byte
	version := le.Uint64(b[16:])
	if putCell(want[:], seed, index, version); string(want[:]) != string(b[:cellSize]) {
		return 0, fmt.Errorf("cell %d of the blob with seed %#x is % x", index, seed, b[:cellSize])
	}
	return version, nil
}

func blobOf(l label) []byte {
	b := make([]byte, l.Size)
	at := 0
	for ; at+cellSize <= len(b); at += cellSize {
		putCell(b[at:], l.Seed, uint64(at/cellSize), 0)
	}
	for i := range b[at:] {
		b[at+i] = byte(l.Seed) | 1
	}
	return b
}

// checkBlob holds the bytes of a blob against what its shelf says of it.
func checkBlob(b []byte, l label) error {
	if len(b) != int(l.Size) {
		return fmt.Errorf("a blob has %d bytes, and the shelf says %d", len(b), l.Size)
	}
	changes, at := uint64(0), 0
	for ; at+cellSize <= len(b); at += cellSize {
		version, err := versionOf(b[at:], l.Seed, uint64(at/cellSize))
		if err != nil {
			return err
		}
		changes += version
	}
	for i, c := range b[at:] {
		if c != byte(l.Seed)|1 {
			return fmt.Errorf("byte %d of the blob with seed %#x is %#x", at+i, l.Seed, c)
		}
	}
	if changes != l.Changes {
		return fmt.Errorf("the cells of a blob were changed %d times, and the shelf says %d", changes, l.Changes)
	}
	return nil
}

// newLabel draws a blob: from nothing to a run of spans.
func newLabel(random *rand.Rand) label {
	l := label{Seed: random.Uint64(), Immutable: uint32(random.IntN(2))}
	switch n := random.IntN(12); {
	case n < 5:
		l.Size = random.Uint32N(65)
	case n < 9:
		l.Size = random.Uint32N(1025)
	case n < 11:
		l.Size = random.Uint32N(16 << 10)
	default:
		l.Size = random.Uint32N(200 << 10)
	}
	return l
}

func allocBlob(tx *pmem.Tx, l label) (pmem.Ref[pmem.Bytes], error) {
	if l.Immutable != 0 {
		return pmem.AllocImmutableBytes(tx, blobOf(l))
	}
	return pmem.AllocBytes(tx, blobOf(l))
}

// readBlob lends a blob that is immutable, and copies another one.
func readBlob(tx *pmem.Tx, ref pmem.Ref[pmem.Bytes], l label) ([]byte, error) {
	if l.Immutable != 0 {
		return pmem.BorrowBytes(tx, ref)
	}
	return pmem.AppendBytes(tx, ref, nil)
}
