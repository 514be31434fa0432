package recording

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"
)

// The file:
//
//	header, 16 bytes: magic 8, version u32, CRC32C of these 12 bytes u32
//	frames: length u32, CRC32C of the block u32, CRC32C of these 8 bytes u32, block
//
// All integers are little-endian. A block is a zstd frame with entries:
//
//	kind uvarint, length uvarint, body
const (
	magic      = "SAFEVREC"
	version    = 1
	headerSize = 16
	frameHead  = 12

	// blockGoal is when a block is written, before it is compressed; blockMost is what a reader
	// takes. An entry may need a block of its own.
	blockGoal = 256 << 10
	blockMost = 32 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Errors of reading, wrapped in [DamageError] where the file once was whole.
var (
	// ErrFormat: it is no recording, or of a version that this program does not know.
	ErrFormat = errors.New("not a recording that this program knows")
	// ErrCut: the file ends without an end mark: the recorder or the machine died, or it
	// still records.
	ErrCut = errors.New("the recording is cut off")
	// ErrCorrupt: bytes were changed.
	ErrCorrupt = errors.New("the recording is damaged")
	// ErrTooLarge: an entry is larger than a block may be.
	ErrTooLarge = errors.New("an entry is too large")
)

// DamageError says from where on a file is not whole. All entries before it are.
type DamageError struct {
	Offset int64 // in bytes
	Err    error // [ErrCut] or [ErrCorrupt]
	Detail string
}

// Error implements error.
func (e *DamageError) Error() string {
	return fmt.Sprintf("%v at byte %d: %s", e.Err, e.Offset, e.Detail)
}

// Unwrap returns the kind of damage.
func (e *DamageError) Unwrap() error { return e.Err }

func header() []byte {
	b := append(make([]byte, 0, headerSize), magic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// appendFrame appends a frame of a block that is to be compressed.
func appendFrame(b []byte, enc *zstd.Encoder, block []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, frameHead)...)
	b = enc.EncodeAll(block, b)
	f := b[start:]
	binary.LittleEndian.PutUint32(f, uint32(len(f)-frameHead))
	binary.LittleEndian.PutUint32(f[4:], crc32.Checksum(f[frameHead:], castagnoli))
	binary.LittleEndian.PutUint32(f[8:], crc32.Checksum(f[:8], castagnoli))
	return b
}
