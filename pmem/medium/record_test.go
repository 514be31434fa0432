package medium_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/safevma/safevma/pmem/medium"
)

// trace takes down the events of a medium, and fails those that it is told to.
type trace struct {
	lines  []string
	fail   func(e medium.Event) error
	poison func(off, n int64) error
}

func (t *trace) Event(e medium.Event) error {
	line := fmt.Sprintf("%v %d+%d", e.Action, e.Off, e.Len)
	if e.Class != 0 {
		line += " " + e.Class.String()
	}
	if e.Scope != 0 {
		line += " " + e.Scope.String()
	}
	if e.Thread != 0 {
		line += fmt.Sprintf(" t%d", e.Thread)
	}
	t.lines = append(t.lines, line)
	if t.fail != nil {
		return t.fail(e)
	}
	return nil
}

func (t *trace) Read(off, n int64) error {
	t.lines = append(t.lines, fmt.Sprintf("read %d+%d", off, n))
	if t.poison != nil {
		return t.poison(off, n)
	}
	return nil
}

func record(t *testing.T, as medium.Emulation, size, most int) (*medium.Medium, *trace, []byte) {
	t.Helper()
	tr, memory := new(trace), make([]byte, size, most)
	m, err := medium.Record(memory, as, tr)
	if err != nil {
		t.Fatal(err)
	}
	return m, tr, memory
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// One protocol on two media: what each makes of the same calls.
func TestRecordedCalls(t *testing.T) {
	protocol := func(m *medium.Medium) {
		must(t, m.Store8(8, 1, medium.Apply))
		must(t, m.Store(61, []byte("0123456789abc"), medium.Direct))
		must(t, m.Persist(61, 13))
		must(t, m.WriteAll(512, [][]byte{make([]byte, 16), make([]byte, 64)}, medium.Log))
		must(t, m.StorePersist8(128, 2, medium.Superblock))
		must(t, m.PersistAll([]medium.Extent{{Off: 8, Len: 8}, {Off: 61, Len: 13}}))
		p := m.Pin()
		must(t, p.Stream(256, make([]byte, 8), medium.Scrub))
		must(t, p.Flush(8, 8))
		must(t, p.Fence())
		p.Unpin()
		must(t, m.Extend(2048))
		must(t, m.SyncFile())
		must(t, m.Link())
		must(t, m.SyncDirectory())
		must(t, m.Read(8, make([]byte, 3)))
	}
	for kind, want := range map[medium.Kind]string{
		medium.DAX: `store 8+8 apply; store 61+1 direct; store 62+2 direct; store 64+8 direct; store 72+2 direct
			flush 61+13 t1; fence 0+0 t1
			stream 512+80 log t2; fence 0+0 t2
			store 128+8 superblock; flush 128+8 t3; fence 0+0 t3
			flush 8+8 t4; flush 61+13 t4; fence 0+0 t4
			stream 256+8 scrub t5; flush 8+8 t5; fence 0+0 t5
			extend 1024+2048; sync begins 0+0 file; sync ends 0+0 file
			link 0+0; sync begins 0+0 directory; sync ends 0+0 directory; read 8+3`,
		medium.PageCache: `store 8+8 apply; store 61+1 direct; store 62+2 direct; store 64+8 direct; store 72+2 direct
			sync begins 61+13 range; sync ends 61+13 range
			store 512+80 log; sync begins 512+80 range; sync ends 512+80 range
			store 128+8 superblock; sync begins 128+8 range; sync ends 128+8 range
			sync begins 0+1024 range; sync ends 0+1024 range
			store 256+8 scrub; sync begins 0+1024 range; sync ends 0+1024 range
			extend 1024+2048; sync begins 0+2048 file; sync ends 0+2048 file
			link 0+0; sync begins 0+0 directory; sync ends 0+0 directory; read 8+3`,
	} {
		m, tr, memory := record(t, medium.Emulation{Kind: kind}, 1024, 4096)
		protocol(m)
		want = strings.ReplaceAll(strings.ReplaceAll(want, "\n\t\t\t", "; "), "; ", "\n")
		if got := strings.Join(tr.lines, "\n"); got != want {
			t.Errorf("%v:\n%s\nwant:\n%s", kind, got, want)
		}
		if !bytes.Equal(memory[61:74], []byte("0123456789abc")) || memory[8] != 1 || memory[128] != 2 {
			t.Errorf("%v: the bytes are not in the memory of the caller", kind)
		}
		if m.Size() != 2048 {
			t.Errorf("%v: size %d", kind, m.Size())
		}
	}
}

func TestInjectedFailures(t *testing.T) {
	m, tr, memory := record(t, medium.Emulation{Kind: medium.PageCache}, 1024, 1024)
	tr.fail = func(e medium.Event) error {
		if e.Action == medium.SyncEnd {
			return syscall.EIO
		}
		return nil
	}
	if err := m.Write(0, []byte("abcdefgh"), medium.Log); !errors.Is(err, medium.ErrSync) || !errors.Is(err, syscall.EIO) {
		t.Errorf("failed sync: %v", err)
	}
	tr.fail = func(medium.Event) error { return medium.ShortWrite(3) }
	if err := m.Write(8, []byte("abcdefgh"), medium.Log); !errors.Is(err, medium.ErrShort) {
		t.Errorf("short write: %v", err)
	}
	if got := string(memory[:16]); got != "abcdefghabc\x00\x00\x00\x00\x00" {
		t.Errorf("content %q", got)
	}
	tr.fail = nil
	tr.poison = func(off, n int64) error { return errors.New("poisoned") }
	err := m.Read(64, make([]byte, 8))
	if off, ok := medium.IsFault(err); !ok || off != 64 {
		t.Errorf("poison: %v", err)
	}
	if err := m.Extend(2048); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("extended beyond its memory: %v", err)
	}
	tr.fail = func(e medium.Event) error {
		if e.Action == medium.Allocate && e.Off == 512 && e.Len == 256 {
			return syscall.ENOSPC
		}
		return nil
	}
	if err := m.Allocate(512, 256); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("allocation on a full device: %v", err)
	}
}

func TestOutside(t *testing.T) {
	m, tr, _ := record(t, medium.Emulation{Kind: medium.DAX}, 1024, 1024)
	p := m.Pin()
	defer p.Unpin()
	view := func(off, n int64) error { _, err := m.View(off, n); return err }
	for i, err := range []error{
		m.Store8(1024, 1, 0), m.Store8(-8, 1, 0), m.Store(1020, make([]byte, 8), 0), m.Write(1024, make([]byte, 8), 0),
		m.Persist(0, 1025), m.Persist(1<<62, 1<<62), m.PersistAll([]medium.Extent{{0, 8}, {-1, 8}}), m.StorePersist8(1<<62, 1, 0),
		p.Stream(1024, make([]byte, 8), 0), p.Flush(1, 1024), m.Read(1017, make([]byte, 8)), view(0, -1), m.Extend(512),
	} {
		if !errors.Is(err, medium.ErrRange) {
			t.Errorf("call %d: %v, want %v", i, err, medium.ErrRange)
		}
	}
	for i, err := range []error{
		m.Store8(4, 1, 0), m.Write(4, make([]byte, 8), 0), m.Write(8, make([]byte, 9), 0), m.StorePersist8(12, 0, 0), p.Stream(9, make([]byte, 8), 0),
	} {
		if !errors.Is(err, medium.ErrAlign) {
			t.Errorf("call %d: %v, want %v", i, err, medium.ErrAlign)
		}
	}
	if len(tr.lines) != 0 {
		t.Errorf("refused calls were carried out: %v", tr.lines)
	}
}
