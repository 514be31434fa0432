package recording

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Reader reads a recording, one block at a time.
type Reader struct {
	in     *bufio.Reader
	dec    *zstd.Decoder
	offset int64 // of the next frame
	frame  []byte
	block  []byte
	left   []byte // of block
	at     int64  // where its frame begins
	ended  bool
	// snapshot is used again: it is most of what there is.
	snapshot Snapshot
}

// NewReader reads the header. [ErrFormat] says that it is something else.
func NewReader(in io.Reader) (*Reader, error) {
	r := &Reader{in: bufio.NewReaderSize(in, 64<<10)}
	head := make([]byte, headerSize)
	n, err := io.ReadFull(r.in, head)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		if bytes.HasPrefix(header(), head[:n]) {
			return nil, r.damaged(ErrCut, "within the header")
		}
		return nil, fmt.Errorf("%w: %d bytes", ErrFormat, n)
	case err != nil:
		return nil, err
	case string(head[:len(magic)]) != magic:
		return nil, fmt.Errorf("%w: it begins with %q", ErrFormat, head[:len(magic)])
	case binary.LittleEndian.Uint32(head[12:]) != crc32.Checksum(head[:12], castagnoli):
		return nil, r.damaged(ErrCorrupt, "the header")
	}
	if v := binary.LittleEndian.Uint32(head[8:]); v != version {
		return nil, fmt.Errorf("%w: version %d, and not %d", ErrFormat, v, version)
	}
	r.offset = headerSize
	r.dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(blockMost))
	return r, err
}

// Close frees what reading needs; it does not close the file.
func (r *Reader) Close() { r.dec.Close() }

func (r *Reader) damaged(kind error, format string, args ...any) error {
	return &DamageError{Offset: r.offset, Err: kind, Detail: fmt.Sprintf(format, args...)}
}

// Next returns the next entry, a snapshot until it is called again; io.EOF behind the end
// mark, and [DamageError] where the file ends without, or was changed.
func (r *Reader) Next() (Entry, error) {
	for {
		for len(r.left) == 0 {
			if err := r.nextBlock(); err != nil {
				return nil, err
			}
		}
		e, err := r.entry()
		if err != nil {
			return nil, err
		}
		if e == nil {
			continue // of a newer version
		}
		_, r.ended = e.(*End)
		return e, nil
	}
}

// nextBlock reads a frame.
func (r *Reader) nextBlock() error {
	head := make([]byte, frameHead)
	n, err := io.ReadFull(r.in, head)
	switch {
	case err == io.EOF && r.ended:
		return io.EOF
	case err == io.EOF:
		return r.damaged(ErrCut, "there is no end mark")
	case errors.Is(err, io.ErrUnexpectedEOF) && !r.ended:
		return r.damaged(ErrCut, "%d bytes of a frame's head", n)
	case errors.Is(err, io.ErrUnexpectedEOF), err == nil && r.ended:
		return r.damaged(ErrCorrupt, "something stands behind the end mark")
	case err != nil:
		return err
	}
	length := binary.LittleEndian.Uint32(head)
	if crc32.Checksum(head[:8], castagnoli) != binary.LittleEndian.Uint32(head[8:]) || length == 0 || length > blockMost {
		return r.damaged(ErrCorrupt, "the head of a frame")
	}
	if err := r.readBlock(int(length)); err != nil {
		return err
	}
	if crc32.Checksum(r.frame, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return r.damaged(ErrCorrupt, "the checksum of a block is wrong")
	}
	if r.block, err = r.dec.DecodeAll(r.frame, r.block[:0]); err != nil {
		return r.damaged(ErrCorrupt, "a block can't be decompressed: %v", err)
	}
	r.left, r.at = r.block, r.offset
	r.offset += frameHead + int64(length)
	return nil
}

// readBlock reads the bytes of a block. Memory grows as they come: a length alone takes
// none.
func (r *Reader) readBlock(length int) error {
	r.frame = r.frame[:0]
	for len(r.frame) < length {
		part := min(length-len(r.frame), 1<<20)
		start := len(r.frame)
		r.frame = append(r.frame, make([]byte, part)...)
		n, err := io.ReadFull(r.in, r.frame[start:])
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return r.damaged(ErrCut, "%d bytes of %d of a block", start+n, length)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// entry takes the next entry off the block; nil of a kind that is not known.
func (r *Reader) entry() (Entry, error) {
	b := &body{left: r.left}
	kind, length := b.uint(), b.uint()
	if b.bad || length > uint64(len(b.left)) {
		return nil, &DamageError{r.at, ErrCorrupt, "an entry is longer than its block"}
	}
	r.left = b.left[length:]
	b.left = b.left[:length]
	e := newEntry(kind)
	if kind == kindSnapshot {
		e = &r.snapshot
	}
	if e == nil {
		return nil, nil
	}
	e.parse(b)
	if b.bad || len(b.left) > 0 {
		return nil, &DamageError{r.at, ErrCorrupt, fmt.Sprintf("an entry of kind %d makes no sense", kind)}
	}
	return e, nil
}
