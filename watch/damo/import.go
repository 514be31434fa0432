package damo

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"

	"github.com/safevma/safevma/watch/recording"
)

// ErrMalformed: the file is not of the format that it looks like.
var ErrMalformed = errors.New("malformed")

// Format is what a file is.
type Format string

// The formats.
const (
	JSON           Format = "json"
	JSONCompressed Format = "json_compressed"
	Text           Format = "perf_script"
)

// Summary is what was read.
type Summary struct {
	Format    Format `json:"format"`
	Snapshots uint64 `json:"snapshots"`
	Partial   uint64 `json:"partial_snapshots"` // regions of them are missing
	Regions   uint64 `json:"regions"`
	// Skipped are lines of text that are no events of DAMON.
	Skipped uint64 `json:"skipped_lines"`
	End     int64  `json:"end_ns"` // of the last snapshot
}

// Writer takes what is read: a recording.Writer, or nobody.
type Writer interface {
	Write(recording.Entry) error
}

// sink counts what it writes.
type sink struct {
	Writer
	Summary
}

func (s *sink) snapshot(e *recording.Snapshot) error {
	s.Snapshots++
	s.Regions += uint64(len(e.Regions))
	s.End = max(s.End, e.End)
	if !e.Whole() {
		s.Partial++
	}
	return s.Write(e)
}

// Import reads a file of damo and writes its entries, without an end mark. Errors of what
// was read wrap [ErrMalformed] and name the place.
func Import(in io.Reader, program string, w Writer) (Summary, error) {
	s := &sink{Writer: w}
	r := bufio.NewReaderSize(in, 4*lineMost)
	head, err := r.Peek(8)
	if err != nil && !errors.Is(err, io.EOF) {
		return s.Summary, err
	}
	var read func(*bufio.Reader, *sink) error
	switch {
	case bytes.HasPrefix(head, []byte("PERFILE2")):
		return s.Summary, fmt.Errorf("%w: this is perf.data; make text of it: perf script -i FILE > TEXT", ErrMalformed)
	case len(head) == 0:
		return s.Summary, fmt.Errorf("%w: the file is empty", ErrMalformed)
	case bytes.HasPrefix(bytes.TrimSpace(head), []byte("[")) || bytes.HasPrefix(head, []byte("{")):
		s.Format, read = JSON, readJSON
	case head[0]&0x0f == 8 && len(head) > 1 && (uint(head[0])<<8|uint(head[1]))%31 == 0: // RFC 1950
		s.Format, read = JSONCompressed, readCompressed
	default:
		s.Format, read = Text, readText
	}
	if err := s.Write(&recording.Start{Source: "damo " + string(s.Format), Program: program}); err != nil {
		return s.Summary, err
	}
	if err := read(r, s); err != nil {
		return s.Summary, err
	}
	if s.Snapshots == 0 {
		return s.Summary, fmt.Errorf("%w: there is no snapshot in it", ErrMalformed)
	}
	return s.Summary, nil
}

func readCompressed(in *bufio.Reader, s *sink) error {
	z, err := zlib.NewReader(in)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return readJSON(bufio.NewReaderSize(z, 4*lineMost), s)
}
