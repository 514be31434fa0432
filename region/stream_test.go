package region_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/safevma/safevma/region"
)

func regionOf(t *testing.T, text string, options ...region.Option) *region.Region {
	t.Helper()
	r, err := region.Map(len(text), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if err := r.Write(func(b []byte) error { copy(b, text); return nil }); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReader(t *testing.T) {
	r := regionOf(t, "0123456789", region.Windowed())
	if err := iotest.TestReader(region.NewReader(r), []byte("0123456789")); err != nil {
		t.Error(err)
	}
	var to bytes.Buffer
	reader := region.NewReader(r)
	if _, err := io.ReadFull(reader, make([]byte, 4)); err != nil {
		t.Error(err)
	}
	if n, err := io.Copy(&to, reader); n != 6 || err != nil || to.String() != "456789" {
		t.Errorf("%d, %v, %q", n, err, to.String())
	}
	if n, err := io.Copy(&to, reader); n != 0 || err != nil {
		t.Error("at the end: ", n, err)
	}
}

// lazy writes less than it is given.
type lazy struct{ n int }

func (l *lazy) Write(p []byte) (int, error) { l.n = min(3, len(p)); return l.n, nil }

type liar struct{}

func (liar) Write(p []byte) (int, error) { return len(p) + 1, nil }
func (liar) Read(p []byte) (int, error)  { return len(p) + 1, nil }

func TestReaderShort(t *testing.T) {
	r := regionOf(t, "0123456789")
	reader := region.NewReader(r)
	if n, err := reader.WriteTo(&lazy{}); n != 3 || err != io.ErrShortWrite {
		t.Error(n, err)
	}
	if rest, err := io.ReadAll(reader); string(rest) != "3456789" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	if n, err := region.NewReader(r).WriteTo(liar{}); n != 0 || err == nil {
		t.Error(n, err)
	}
	if n, err := region.NewWriter(r).ReadFrom(liar{}); n != 0 || err == nil {
		t.Error(n, err)
	}
}

func TestWriter(t *testing.T) {
	for _, text := range []string{"", "a", "0123456789", "0123456789a"} {
		for name, from := range map[string]io.Reader{
			"whole":    strings.NewReader(text),
			"by bytes": iotest.OneByteReader(strings.NewReader(text)),
			"with end": iotest.DataErrReader(strings.NewReader(text)),
		} {
			r := regionOf(t, strings.Repeat("\x00", 10), region.Windowed())
			w := region.NewWriter(r)
			n, err := w.ReadFrom(from)
			fits := len(text) <= 10
			if int(n) != min(10, len(text)) || w.Len() != int(n) || fits != (err == nil) || !fits && err != io.ErrShortWrite {
				t.Errorf("%q, %s: %d, %v", text, name, n, err)
			}
		}
	}
	r := regionOf(t, strings.Repeat("\x00", 4))
	w := region.NewWriter(r)
	if n, err := io.WriteString(w, "abc"); n != 3 || err != nil {
		t.Error(n, err)
	}
	if n, err := io.WriteString(w, "def"); n != 1 || err != io.ErrShortWrite {
		t.Error(n, err)
	}
	if ok, err := r.Equal([]byte("abcd")); !ok || err != nil {
		t.Error("it has something else: ", err)
	}
	mine := errors.New("mine")
	if _, err := region.NewWriter(r).ReadFrom(iotest.ErrReader(mine)); !errors.Is(err, mine) {
		t.Error(err)
	}
	if _, err := region.NewWriter(r).ReadFrom(stuck{}); err != io.ErrNoProgress {
		t.Error(err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// From a file to a region, and to a file: io.Copy copies nothing on the Go heap.
func TestCopyLeavesNothing(t *testing.T) {
	name, needle := secretFile(t, 1000)
	from, err1 := os.Open(name)
	to, err2 := os.Create(name + ".copy")
	r, err3 := region.Map(1000)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	defer to.Close()
	defer r.Close()
	if _, err := io.Copy(region.NewWriter(r), from); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, region.NewReader(r)); err != nil {
		t.Fatal(err)
	}
	onlyIn(t, r, needle)
	a, _ := os.ReadFile(name)
	b, _ := os.ReadFile(name + ".copy")
	if !bytes.Equal(a, b) {
		t.Error("the copy differs")
	}
}
