package region

import (
	"errors"
	"io"
)

// Reader reads what a region holds, from the begin. It is not for concurrent use.
type Reader struct {
	region *Region
	off    int
}

// NewReader returns a reader of a region. io.Copy from it makes one Write call with the memory
// itself, so that nothing is copied on the way: what writes it is the kernel, to a file or socket,
// or whatever else the destination does with it.
func NewReader(r *Region) *Reader { return &Reader{region: r} }

// Read implements io.Reader. It copies to p, which is the caller's.
func (r *Reader) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	err = r.region.Read(func(b []byte) error {
		n = copy(p, b[r.off:])
		r.off += n
		if n == 0 {
			return io.EOF
		}
		return nil
	})
	return n, err
}

// WriteTo implements io.WriterTo. In a Windowed region, the window is open while w writes.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	n := 0
	err := r.region.Read(func(b []byte) (err error) {
		if r.off == len(b) {
			return nil
		}
		n, err = w.Write(b[r.off:])
		if n < 0 || n > len(b)-r.off {
			n, err = 0, errors.New("region: a writer returned an impossible count")
		}
		r.off += n
		if err == nil && r.off < len(b) {
			err = io.ErrShortWrite
		}
		return err
	})
	return int64(n), err
}

// Writer fills a region, from the begin. It is not for concurrent use.
type Writer struct {
	region *Region
	off    int
}

// NewWriter returns a writer into a region. io.Copy to it reads into the memory itself. What does
// not fit is io.ErrShortWrite.
func NewWriter(r *Region) *Writer { return &Writer{region: r} }

// Len returns how many bytes were written.
func (w *Writer) Len() int { return w.off }

// Write implements io.Writer. p is the caller's, who may want to clear it.
func (w *Writer) Write(p []byte) (n int, err error) {
	err = w.region.Write(func(b []byte) error {
		n = copy(b[w.off:], p)
		w.off += n
		return nil
	})
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}

// ReadFrom implements io.ReaderFrom: it reads until the end, and fails with io.ErrShortWrite if the
// region is full before. In a Windowed region, the window is open while from is read.
func (w *Writer) ReadFrom(from io.Reader) (int64, error) {
	n, more := 0, false
	err := w.region.Write(func(b []byte) (err error) {
		n, err = readAll(from, b[w.off:])
		w.off += n
		more = w.off == len(b)
		return err
	})
	if err != nil || !more {
		return int64(n), err
	}
	// The region is full. Whether that was all shows one byte more, which is read into nothing
	// that lasts.
	var one [1]byte
	got, err := io.ReadFull(from, one[:])
	clear(one[:])
	switch {
	case got > 0:
		err = io.ErrShortWrite
	case err == io.EOF:
		err = nil
	}
	return int64(n), err
}
