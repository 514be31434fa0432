package vm

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/safevma/safevma/lab/wire"
)

// incoming takes what a guest sends while a job runs.
type incoming struct {
	conn   *wire.Conn
	job    Job
	closed [2]bool // outputs that nobody reads any more
	line   []byte  // a mark that has not ended yet

	files   *io.PipeWriter // pieces of the archive go in here
	unpacks chan error
}

func newIncoming(conn *wire.Conn, j Job) *incoming {
	r, w := io.Pipe()
	in := &incoming{conn: conn, job: j, files: w, unpacks: make(chan error, 1)}
	root := j.BringTo
	if root == "" {
		root = "/"
	}
	go func() {
		err := wire.Unpack(r, root, in.asked)
		r.CloseWithError(err)
		in.unpacks <- err
	}()
	return in
}

// asked: a guest may send what it was asked for, and nothing else.
func (in *incoming) asked(path string) bool {
	for _, asked := range in.job.Bring {
		asked = filepath.Clean(asked)
		if path == asked || strings.HasPrefix(path, asked+"/") {
			return true
		}
	}
	return false
}

func (in *incoming) take(kind wire.Kind, payload []byte) error {
	switch kind {
	case wire.Out:
		return in.output(1, in.job.Stdout, payload)
	case wire.Err:
		return in.output(2, in.job.Stderr, payload)
	case wire.Mark:
		in.marks(payload)
		return nil
	case wire.Files:
		_, err := in.files.Write(payload)
		return err
	}
	return fmt.Errorf("the guest sent a frame of kind %q while a job runs", kind)
}

// output passes output on. Frames are taken from the guest even when nobody wants them:
// the program would wait for ever otherwise.
func (in *incoming) output(number byte, w io.Writer, payload []byte) error {
	if w == nil || in.closed[number-1] {
		return nil
	}
	if _, err := w.Write(payload); err != nil {
		in.closed[number-1] = true
		return in.conn.Send(wire.Close, []byte{number})
	}
	return nil
}

func (in *incoming) marks(payload []byte) {
	in.line = append(in.line, payload...)
	for {
		line, rest, ok := strings.Cut(string(in.line), "\n")
		if !ok {
			return
		}
		in.line = []byte(rest)
		if in.job.Mark != nil {
			in.job.Mark(line)
		}
	}
}

// close waits until what was brought back is laid out.
func (in *incoming) close() error {
	if in.files == nil {
		return nil
	}
	in.files.Close()
	in.files = nil
	if err := <-in.unpacks; err != nil && err != io.EOF {
		return fmt.Errorf("bringing files back: %w", err)
	}
	return nil
}
