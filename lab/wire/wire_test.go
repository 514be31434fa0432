package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

type stream struct {
	io.Reader
	io.Writer
}

func conn(b *bytes.Buffer) *Conn { return NewConn(stream{b, b}) }

func TestFramesComeBackAsSent(t *testing.T) {
	var b bytes.Buffer
	c := conn(&b)
	want := bytes.Repeat([]byte("x\x00\n"), 100_000)
	if n, err := c.Writer(Out).Write(want); n != len(want) || err != nil {
		t.Fatal(n, err)
	}
	if err := c.Send(Exit, nil); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for {
		kind, payload, err := c.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if kind == Exit {
			break
		}
		got = append(got, payload...)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes came back of %d", len(got), len(want))
	}
	if _, _, err := c.Receive(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestCutAndOversized(t *testing.T) {
	var b bytes.Buffer
	if err := conn(&b).Send(Out, []byte("whole")); err != nil {
		t.Fatal(err)
	}
	for cut := 1; cut < b.Len(); cut++ {
		c := NewConn(stream{bytes.NewReader(b.Bytes()[:cut]), io.Discard})
		if _, _, err := c.Receive(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
	c := NewConn(stream{strings.NewReader("1\xff\xff\xff\xff"), io.Discard})
	if _, _, err := c.Receive(); err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("4 GiB claimed: %v", err)
	}
	if err := c.Send(Out, make([]byte, MaxPayload+1)); err == nil {
		t.Error("an oversized frame was sent")
	}
}

// What a stream says is never trusted: any bytes give frames or an error.
func FuzzReceive(f *testing.F) {
	f.Add([]byte("1\x01\x00\x00\x00x"))
	f.Add([]byte("X\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := NewConn(stream{bytes.NewReader(b), io.Discard})
		total := 0
		for {
			_, payload, err := c.Receive()
			if err != nil {
				break
			}
			total += headerSize + len(payload)
		}
		if total > len(b) {
			t.Fatalf("%d bytes of frames from %d bytes", total, len(b))
		}
	})
}
