package fsck

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/medium"
)

// deaf is a recorder that lets everything pass, but reads of a range.
type deaf struct{ off, end int64 }

func (d *deaf) Event(medium.Event) error { return nil }

func (d *deaf) Read(off, n int64) error {
	if off < d.end && off+n > d.off {
		return &medium.Error{Op: "read", Off: max(off, d.off), Len: 1, Err: fmt.Errorf("%w: %w", medium.ErrFault, syscall.EIO)}
	}
	return nil
}

// image is the bytes of a small pool with one object of each sort, and a log that is live.
func image(t testing.TB) []byte {
	t.Helper()
	size := int64(32768 + 6*4096)
	p, m := newPool(t, size, pmem.Options{LogSize: 1024, LogExtent: 256, SpanSize: 4096})
	update(t, p, func(tx *pmem.Tx) error {
		big, err1 := pmem.AllocBytes(tx, make([]byte, 4200))
		return errors.Join(err1, pmem.SetRoot(tx, "big", big))
	})
	for i := range 3 {
		update(t, p, func(tx *pmem.Tx) error {
			text, err1 := pmem.AllocBytes(tx, []byte("text"))
			last, err2 := pmem.Root[node](tx, "list")
			if i == 0 {
				err2 = nil
			}
			r, err3 := pmem.Alloc(tx, node{uint64(i), last, text})
			return errors.Join(err1, err2, err3, pmem.SetRoot(tx, "list", r))
		})
	}
	b := make([]byte, size)
	if err := m.Read(0, b); err != nil {
		t.Fatal(err)
	}
	if r := report(t, m); !r.Clean() || r.Log.Records == 0 {
		t.Fatalf("%+v", r)
	}
	return b
}

func mediumOf(t testing.TB, b []byte, r medium.Recorder) *medium.Medium {
	t.Helper()
	m, err := medium.Record(b, medium.Emulation{Kind: medium.DAX}, r)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// content is all that a pool holds, as a program sees it that opens it.
func content(b []byte) (text string, err error) {
	m, err := medium.Record(b, medium.Emulation{Kind: medium.DAX}, &deaf{})
	if err != nil {
		return "", err
	}
	p, err := pmem.OpenOn(m, pmem.Options{})
	if err != nil {
		return "", err
	}
	err = p.View(ctx, func(tx *pmem.Tx) error {
		big, err := pmem.Root[pmem.Bytes](tx, "big")
		if err != nil {
			return err
		}
		all, err := pmem.AppendBytes(tx, big, nil)
		if err != nil {
			return err
		}
		text = fmt.Sprint(len(all), bytes.Count(all, []byte{0}))
		r, err := pmem.Root[node](tx, "list")
		for err == nil && !r.IsNil() {
			var n node
			if n, err = pmem.Get(tx, r); err != nil {
				return err
			}
			all, err = pmem.AppendBytes(tx, n.Text, nil)
			text += fmt.Sprint(" ", n.Value, " ", string(all))
			r = n.Next
		}
		return err
	})
	return text, err
}

// Whatever byte is another one, the check ends and says so, or a program reads what was written. Every
// seventh is tried; all of them with SAFEVMA_NIGHTLY=1.
func TestEveryByteFlipped(t *testing.T) {
	good := image(t)
	want, err := content(bytes.Clone(good))
	if err != nil {
		t.Fatal(err)
	}
	found, harmless, dropped, silent := 0, 0, 0, 0
	step := 7
	if testing.Short() {
		step = 61
	}
	if os.Getenv("SAFEVMA_NIGHTLY") != "" {
		step = 1
	}
	last := lastRecord(good)
	for i := 0; i < len(good); i += step {
		b := bytes.Clone(good)
		b[i] ^= 1 << (i % 8)
		r := report(t, mediumOf(t, b, &deaf{}))
		if !r.Clean() {
			found++
			continue
		}
		got, err := content(b)
		switch {
		case r.Log.Torn: // the last record is not there, and that was said
			dropped++
		case i-last >= 8 && i-last < 24: // its generation or sequence: as if it was never written
			silent++
		case err != nil || got != want:
			t.Errorf("byte %d: the check finds nothing, and there is %q, %v", i, got, err)
		default:
			harmless++
		}
	}
	t.Logf("found %d, dropped and said so %d, as if never written %d, harmless %d", found, dropped, silent, harmless)
	if found == 0 || harmless == 0 {
		t.Error("the test does not test it")
	}
}

// lastRecord returns where the last record of the log is.
func lastRecord(b []byte) (at int) {
	highest := uint64(0)
	for off := logOffset; off < logOffset+1024; off += 64 {
		h := b[off:]
		n := int(le.Uint32(h[4:]))
		if n >= 40 && n <= 256 && le.Uint32(h) == recordCRC(h[40:n], h[4:40]) && le.Uint64(h[16:]) > highest {
			at, highest = off, le.Uint64(h[16:])
		}
	}
	return at
}

// A file that was cut off is not taken for a whole one.
func TestTruncated(t *testing.T) {
	good := image(t)
	for n := 8; n < len(good); n += 8 {
		r := report(t, mediumOf(t, bytes.Clone(good[:n]), &deaf{}))
		if r.Clean() || r.Complete {
			t.Errorf("%d bytes of %d: %+v", n, len(good), r)
		}
	}
}

// Where the medium can't be read, that is said, and the rest is checked.
func TestUnreadable(t *testing.T) {
	good := image(t)
	const tailB = superB + tailOffset
	for off := int64(0); off < int64(len(good)); off += 64 {
		r := report(t, mediumOf(t, bytes.Clone(good), &deaf{off, off + 64}))
		if r.Clean() {
			continue // nothing is there
		}
		for _, p := range r.Problems {
			if p.Kind != Unreadable && (p.Kind != Log || off != tailB) { // the newer tail: what it hid is found
				t.Errorf("%d: %v", off, p)
			}
		}
	}
	for name, off := range map[string]int64{"superblock": 0, "tail": 512, "roots": 8192, "types": 12288, "log": 28672, "table": 32768} {
		if r := report(t, mediumOf(t, bytes.Clone(good), &deaf{off, off + 64})); r.Clean() {
			t.Errorf("%s: nothing was found", name)
		}
	}
}

// No superblock, and no pool at all, are findings. A format of the future is an error: it may be
// all right.
func TestNoPool(t *testing.T) {
	r := report(t, mediumOf(t, make([]byte, 1<<16), &deaf{}))
	if kinds(r) != "superblock superblock" || r.Complete {
		t.Errorf("zeros: %v", r.Problems)
	}
	v := newVictim(t)
	v.entry(superA, superSize, 0, func(b []byte) { b[8] = 2 })
	if _, err := Check(ctx, v.m); !errors.Is(err, pmem.ErrFormat) {
		t.Errorf("version 2: %v", err)
	}
}
