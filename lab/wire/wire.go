// Package wire is what the lab's runner and the init of its guest say to each other,
// over one virtio-serial port: frames of a kind, a length and a payload.
//
// A frame is 5 bytes of header, the kind and the length of the payload (little-endian),
// and the payload, at most [MaxPayload] bytes. The guest reads all the time; the runner
// whenever a job runs, so neither can block the other for ever.
package wire

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// What both sides, and programs in the guest, call things.
const (
	// PortName is the name of the virtio-serial port.
	PortName = "safevma.lab"
	// ModuleList is the file in the guest's first root that names the modules in
	// ModuleDir, one a line, in the order in which they load. Lines before an empty line are
	// loaded at once, those behind it when disks come up.
	ModuleList = "/lab/modules.list"
	ModuleDir  = "/lab/modules"
	// MarkVariable is the environment variable that tells a program the path of its mark
	// FIFO.
	MarkVariable = "SAFEVMA_LAB_MARK"
)

// Kind is what a frame carries.
type Kind byte

// What the runner sends.
const (
	Prepare Kind = 'P' // [Setup]: once, before the first job
	Files   Kind = 'F' // a piece of a tar archive, to be laid out from the root; both ways
	Run     Kind = 'R' // [Job]: end of the files; begin
	Signal  Kind = 'S' // one byte: the number of a signal for the program
	Close   Kind = 'C' // one byte: 1 or 2, the output that nobody reads any more
	Off     Kind = 'Q' // write everything to the disks, and power off
)

// What the guest sends. It sends [Files] too: what a job is to bring back.
const (
	Hello Kind = 'H' // [Greeting]: the guest waits for work
	Ready Kind = 'D' // [Answer]: what [Prepare] came to
	Out   Kind = '1' // standard output of the program
	Err   Kind = '2' // standard error of the program
	Mark  Kind = 'M' // a line that the program wrote to its mark FIFO
	Exit  Kind = 'X' // [Answer]: the program has ended, its files have been sent
)

// MaxPayload is the largest payload, in bytes.
const MaxPayload = 1 << 20

const headerSize = 5

// Conn frames one byte stream. Send may be called from several goroutines, Receive
// from one.
type Conn struct {
	r  io.Reader
	mu sync.Mutex // protects w: frames are written whole
	w  io.Writer
}

// NewConn returns a connection over a stream.
func NewConn(rw io.ReadWriter) *Conn { return &Conn{r: rw, w: rw} }

// Send sends one frame.
func (c *Conn) Send(kind Kind, payload []byte) error {
	if len(payload) > MaxPayload {
		return fmt.Errorf("a frame of %d bytes: at most %d", len(payload), MaxPayload)
	}
	frame := make([]byte, headerSize, headerSize+len(payload))
	frame[0] = byte(kind)
	binary.LittleEndian.PutUint32(frame[1:], uint32(len(payload)))
	frame = append(frame, payload...)
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.w.Write(frame)
	return err
}

// SendJSON sends a value.
func (c *Conn) SendJSON(kind Kind, v any) error {
	payload, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.Send(kind, payload)
}

// Receive returns the next frame. The error is io.EOF at the end of the stream between
// frames, and io.ErrUnexpectedEOF within one.
func (c *Conn) Receive() (Kind, []byte, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(c.r, header[:]); err != nil {
		return 0, nil, err
	}
	size := binary.LittleEndian.Uint32(header[1:])
	if size > MaxPayload {
		return 0, nil, fmt.Errorf("a frame of kind %q claims %d bytes: at most %d, so the stream is not what it should be", header[0], size, MaxPayload)
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(c.r, payload); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return Kind(header[0]), payload, nil
}

// Writer returns a writer whose bytes become frames of a kind.
func (c *Conn) Writer(kind Kind) io.Writer { return &writer{c, kind} }

type writer struct {
	c    *Conn
	kind Kind
}

// Write implements io.Writer.
func (w *writer) Write(b []byte) (int, error) {
	for sent := 0; sent < len(b); {
		piece := b[sent:min(len(b), sent+64<<10)]
		if err := w.c.Send(w.kind, piece); err != nil {
			return sent, err
		}
		sent += len(piece)
	}
	return len(b), nil
}
