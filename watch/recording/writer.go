package recording

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"github.com/safevma/safevma/internal/sys"
)

// Writer writes a recording. It is for one goroutine at a time. After an error of writing
// it stays broken: behind half a frame nothing could be read.
//
// What was written is on the device when [Writer.Sync] or [Writer.Close] has returned; a
// crash before may lose it, and nothing that came before it.
type Writer struct {
	out     io.Writer
	file    *os.File // nil where out is none
	enc     *zstd.Encoder
	block   []byte // entries that are not written yet
	entry   []byte
	frame   []byte
	written int64
	err     error
}

// Create makes the file, which must not exist, for the owner alone.
func Create(name string) (*Writer, error) {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	w, err := NewWriter(file)
	if err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(name))
	}
	w.file = file
	if err := errors.Join(w.Sync(), syncDirectory(filepath.Dir(name))); err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(name))
	}
	return w, nil
}

// syncDirectory makes a new name of a directory durable.
func syncDirectory(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// NewWriter writes the header to out.
func NewWriter(out io.Writer) (*Writer, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(blockGoal),
		zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, err
	}
	w := &Writer{out: out, enc: enc}
	w.write(header())
	return w, w.err
}

func (w *Writer) write(b []byte) {
	n, err := w.out.Write(b)
	w.written += int64(n)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	w.err = err
}

// Size is the length of the file, without what is not written yet.
func (w *Writer) Size() int64 { return w.written }

// Write adds an entry. It may be written later.
func (w *Writer) Write(e Entry) error {
	w.entry = e.append(w.entry[:0])
	if len(w.entry) > blockMost/2 {
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, len(w.entry))
	}
	w.block = appendUints(w.block, e.kind(), uint64(len(w.entry)))
	w.block = append(w.block, w.entry...)
	if len(w.block) >= blockGoal {
		w.Flush()
	}
	return w.err
}

// Flush writes what there is as a frame.
func (w *Writer) Flush() error {
	if len(w.block) > 0 && w.err == nil {
		w.frame = appendFrame(w.frame[:0], w.enc, w.block)
		w.block = w.block[:0]
		w.write(w.frame)
	}
	return w.err
}

// Sync flushes, and waits until all is on the device (fdatasync(2)).
func (w *Writer) Sync() error {
	if err := w.Flush(); err != nil || w.file == nil {
		return err
	}
	w.err = sys.Fdatasync(w.file)
	return w.err
}

// Close writes the end mark, in a frame of its own, syncs and closes the file.
func (w *Writer) Close(end End) error {
	err := w.Flush()
	if err == nil {
		err = errors.Join(w.Write(&end), w.Sync())
	}
	err = errors.Join(err, w.enc.Close())
	if w.file != nil {
		err = errors.Join(err, w.file.Close())
	}
	w.err = os.ErrClosed
	return err
}
