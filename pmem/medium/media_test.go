package medium_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/safevma/safevma/lab"
	"github.com/safevma/safevma/lab/machine"
	"github.com/safevma/safevma/pmem/medium"
)

// ground is a kind of medium that this machine has, or the reason why it has none.
type ground struct {
	name string
	kind medium.Kind
	dir  func(t testing.TB) string // nil: no files
}

var grounds = []ground{
	{"volatile", medium.Volatile, nil},
	{"tmpfs", medium.Volatile, func(t testing.TB) string { return tempDir(t, "/dev/shm") }},
	{"page cache", medium.PageCache, func(t testing.TB) string {
		if _, inside, err := machine.Here(); inside && err == nil { // whose /tmp is in memory
			return lab.Disk(t, "ext4")
		}
		return t.TempDir()
	}},
	{"dax emulated", medium.DAX, nil},
	{"dax", medium.DAX, func(t testing.TB) string {
		lab.Require(t, "map-sync")
		return lab.DAX(t)
	}},
}

func tempDir(t testing.TB, in string) string {
	t.Helper()
	dir, err := os.MkdirTemp(in, "safevma-medium-")
	if err != nil {
		t.Skipf("no folder in %s: %v", in, err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// create makes a medium on a ground; its file has a name, if it has a file.
func (g ground) create(t testing.TB, size, most int64) (m *medium.Medium, file string) {
	t.Helper()
	var err error
	if g.dir == nil {
		m, err = medium.NewVolatile(size, most)
	} else {
		file = filepath.Join(g.dir(t), "pool")
		m, err = medium.Create(file, size, medium.Options{Most: most})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	if file != "" {
		ok(t, m.SyncFile(), m.Link(), m.SyncDirectory())
	}
	if g.name == "dax emulated" {
		m.AsDAX()
	}
	if got := m.Info().Kind; got != g.kind {
		if g.kind == medium.PageCache && os.Getenv("TMPDIR") != "" {
			t.Skipf("%s is %v, not page cache: %s", os.TempDir(), got, m.Info().Found)
		}
		t.Fatalf("%s is %v, not %v: %+v", g.name, got, g.kind, m.Info())
	}
	return m, file
}

func ok(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func onAll(t *testing.T, fn func(t *testing.T, g ground)) {
	for _, g := range grounds {
		t.Run(g.name, func(t *testing.T) { fn(t, g) })
	}
}

// A medium holds what was put there, whatever the calls, and its file holds it after Close.
func TestHoldsWhatWasPut(t *testing.T) {
	onAll(t, func(t *testing.T, g ground) {
		const most = 200_000
		random := rand.New(rand.NewPCG(1, 2))
		m, file := g.create(t, 100_000, most)
		want := make([]byte, 100_000, most)
		thread := m.Pin()
		defer thread.Unpin()
		for range 2000 {
			want = step(t, m, thread, random, want)
		}
		got := make([]byte, len(want))
		ok(t, m.Read(0, got))
		if at, differ := first(got, want); differ {
			t.Fatalf("differs at %d", at)
		}
		view, err := m.View(0, m.Size())
		ok(t, err)
		if !bytes.Equal(view, want) {
			t.Fatal("View and Read differ")
		}
		ok(t, m.SyncFile(), m.Close())
		if file == "" {
			return
		}
		on, err := os.ReadFile(file)
		ok(t, err)
		if !bytes.Equal(on, want) {
			t.Error("the file holds something else")
		}
		m, err = medium.Open(file, medium.Options{})
		ok(t, err)
		defer m.Close()
		ok(t, m.Read(0, got))
		if !bytes.Equal(got, want) || m.Size() != int64(len(want)) {
			t.Error("opened anew, it holds something else")
		}
	})
}

// step makes one random call, of the medium and of its shadow.
func step(t *testing.T, m *medium.Medium, p *medium.Thread, random *rand.Rand, want []byte) []byte {
	t.Helper()
	size := int64(len(want))
	n := random.Int64N(300)
	off := random.Int64N(size - n)
	off8, n8 := off&^7, n&^7
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	word := random.Uint64() | 1<<63
	switch random.IntN(9) {
	case 0:
		ok(t, m.Store(off, data, medium.Apply))
		copy(want[off:], data)
		m.Prefetch(off, n)
	case 1:
		ok(t, m.Store8(off8, word, medium.Direct))
		put8(want[off8:], word)
	case 2:
		ok(t, m.Write(off8, data[:n8], medium.Log))
		copy(want[off8:], data[:n8])
	case 3:
		half := n8 / 2 &^ 7
		ok(t, m.WriteAll(off8, [][]byte{data[:half], data[half:n8]}, medium.Log))
		copy(want[off8:], data[:n8])
	case 4:
		ok(t, m.StorePersist8(off8, word, medium.Superblock))
		put8(want[off8:], word)
	case 5:
		ok(t, p.Stream(off8, data[:n8], medium.Scrub), p.Flush(off, n), p.Fence())
		copy(want[off8:], data[:n8])
	case 6:
		ok(t, m.Persist(off, n), m.PersistAll([]medium.Extent{{Off: off, Len: n}, {Off: 0, Len: 1}}))
	case 7:
		old, err := m.Load8(off8)
		ok(t, err)
		done, err := m.CompareAndSwap8(off8, old, word, medium.Atomic)
		again, err2 := m.CompareAndSwap8(off8, old, 7, medium.Atomic)
		ok(t, err, err2)
		if !done || again {
			t.Fatalf("compare and swap: %v, then %v", done, again)
		}
		put8(want[off8:], word)
	case 8:
		if longer := size + random.Int64N(2000)&^7; longer <= int64(cap(want)) {
			ok(t, m.Extend(longer))
			want = want[:longer]
		}
	}
	return want
}

func put8(b []byte, v uint64) {
	for i := range 8 {
		b[i] = byte(v >> (8 * i))
	}
}

func first(a, b []byte) (int, bool) {
	for i := range a {
		if a[i] != b[i] {
			return i, true
		}
	}
	return 0, false
}

// More than assembly takes in one call.
func TestLongRanges(t *testing.T) {
	onAll(t, func(t *testing.T, g ground) {
		m, _ := g.create(t, 1<<20, 1<<20)
		data := make([]byte, 1<<20-64)
		for i := range data {
			data[i] = byte(i * 31 >> 4)
		}
		got := make([]byte, len(data))
		p := m.Pin()
		defer p.Unpin()
		for name, put := range map[string]func() error{
			"Store":  func() error { return m.Store(24, data, medium.Direct) },
			"Write":  func() error { return m.Write(24, data, medium.Direct) },
			"Stream": func() error { return errors.Join(p.Stream(24, data, medium.Direct), p.Fence()) },
		} {
			ok(t, m.Store(0, make([]byte, 1<<20), 0), put(), m.Persist(0, 1<<20), m.Read(24, got))
			if !bytes.Equal(got, data) {
				t.Errorf("%s lost something", name)
			}
		}
	})
}

func TestInfo(t *testing.T) {
	onAll(t, func(t *testing.T, g ground) {
		m, _ := g.create(t, 4096, 4096)
		i := m.Info()
		if i.Found == "" || i.Domain == "" || i.Flush == "" || i.Stream == "" || i.Atom != 8 || i.Unit < 64 || i.PageSize != os.Getpagesize() {
			t.Errorf("incomplete: %+v", i)
		}
		if !medium.RaceEnabled && g.kind != medium.DAX && !strings.Contains(i.Found, "MAP_SYNC refused: ENOTSUP") {
			t.Errorf("how it was found lacks the kernel's answer to MAP_SYNC: %q", i.Found)
		}
		t.Logf("%+v", i)
	})
}

func TestLocked(t *testing.T) {
	m, file := grounds[2].create(t, 4096, 4096)
	if _, err := medium.Open(file, medium.Options{}); !errors.Is(err, medium.ErrLocked) {
		t.Errorf("second writer: %v", err)
	}
	if _, err := medium.Open(file, medium.Options{ReadOnly: true}); !errors.Is(err, medium.ErrLocked) {
		t.Errorf("reader beside a writer: %v", err)
	}
	beside, err := medium.Open(file, medium.Options{ReadOnly: true, Unlocked: true})
	ok(t, err)
	defer beside.Close()
	ok(t, m.Store8(8, 42, medium.Direct))
	if v, err := beside.Load8(8); err != nil || v != 42 {
		t.Errorf("read beside the writer: %d, %v", v, err)
	}
	ok(t, m.Close())
	r1, err := medium.Open(file, medium.Options{ReadOnly: true})
	ok(t, err)
	defer r1.Close()
	r2, err := medium.Open(file, medium.Options{ReadOnly: true})
	ok(t, err)
	defer r2.Close()
	if _, err := medium.Open(file, medium.Options{}); !errors.Is(err, medium.ErrLocked) {
		t.Errorf("writer beside readers: %v", err)
	}
	for i, err := range []error{r1.Store8(0, 1, 0), r1.Write(0, make([]byte, 8), 0), r1.Store(0, []byte{1}, 0), r1.Persist(0, 8), r1.Extend(8192), r1.SyncFile(), r1.Link()} {
		if !errors.Is(err, medium.ErrReadOnly) {
			t.Errorf("change %d of what is open to be read: %v", i, err)
		}
	}
}

func TestClosed(t *testing.T) {
	onAll(t, func(t *testing.T, g ground) {
		m, _ := g.create(t, 4096, 4096)
		p := m.Pin()
		defer p.Unpin()
		ok(t, m.Close(), m.Close())
		_, view := m.View(0, 8)
		_, load := m.Load8(0)
		for i, err := range []error{m.Store8(0, 1, 0), m.Store(0, []byte{1}, 0), m.Write(0, make([]byte, 8), 0), m.Persist(0, 8), p.Fence(), p.Flush(0, 8), view, load, m.Read(0, make([]byte, 1)), m.SyncFile()} {
			if !errors.Is(err, medium.ErrClosed) {
				t.Errorf("call %d of a closed medium: %v", i, err)
			}
		}
	})
}

// A created file has no name before Link, and is gone if it never gets one.
func TestCreate(t *testing.T) {
	for _, g := range grounds {
		if g.dir == nil {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			dir := g.dir(t)
			file := filepath.Join(dir, "pool")
			m, err := medium.Create(file, 4096, medium.Options{})
			ok(t, err)
			entries, err := os.ReadDir(dir)
			ok(t, err)
			if len(entries) != 0 {
				t.Errorf("it has a name before Link: %v", entries)
			}
			ok(t, m.SyncFile(), m.Link(), m.SyncDirectory())
			if _, err := os.Stat(file); err != nil {
				t.Error(err)
			}
			if err := m.Link(); !errors.Is(err, syscall.EEXIST) {
				t.Errorf("second Link: %v", err)
			}
			other, err := medium.Create(file, 4096, medium.Options{})
			ok(t, err)
			if err := other.Link(); !errors.Is(err, syscall.EEXIST) {
				t.Errorf("Link over a file that is there: %v", err)
			}
			ok(t, other.Close(), m.Close())
			st, err := os.Stat(file)
			ok(t, err)
			if st.Mode().Perm()&0o077 != 0 {
				t.Errorf("others may use it: %v", st.Mode())
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	odd := filepath.Join(dir, "odd")
	ok(t, os.WriteFile(odd, make([]byte, 4095), 0o600))
	empty := filepath.Join(dir, "empty")
	ok(t, os.WriteFile(empty, nil, 0o600))
	for name, want := range map[string]error{filepath.Join(dir, "none"): os.ErrNotExist, odd: medium.ErrAlign, empty: medium.ErrAlign, dir: syscall.EISDIR} {
		if m, err := medium.Open(name, medium.Options{}); !errors.Is(err, want) {
			m.Close()
			t.Errorf("open %s: %v, want %v", name, err, want)
		}
	}
	if _, err := medium.Create(filepath.Join(dir, "no", "pool"), 4096, medium.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("create in a folder that is not there: %v", err)
	}
}

// A device without space is an error of Extend, and nothing else changes.
func TestNoSpace(t *testing.T) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs("/dev/shm", &fs); err != nil || fs.Blocks == 0 {
		t.Skip("no tmpfs with a limit in /dev/shm: ", err)
	}
	g := grounds[1]
	more := int64(fs.Blocks+16) * fs.Bsize
	m, _ := g.create(t, 4096, more)
	if err := m.Extend(more); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("extended to %d bytes: %v", more, err)
	}
	ok(t, m.Store8(4088, 7, 0), m.Extend(8192), m.Store8(8184, 8, 0))
	if err := m.Extend(more + 8192); !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, medium.ErrRange) {
		t.Errorf("extended beyond its addresses: %v", err)
	}
}

// However little a write takes at a time, all of it gets where it should; no progress is an
// error, and so is one of the device half-way.
func TestShortWrites(t *testing.T) {
	parts := [][]byte{nil, []byte("abc"), []byte("defg"), {}, []byte("h")}
	for most := 1; most <= 9; most++ {
		file := []byte("..........")
		write := func(parts [][]byte, off int64) (int, error) {
			all := bytes.Join(parts, nil)
			return copy(file[off:], all[:min(most, len(all))]), nil
		}
		ok(t, medium.WriteAll(write, 1, parts))
		if string(file) != ".abcdefgh." {
			t.Errorf("%d bytes at a time: %q", most, file)
		}
	}
	if err := medium.WriteAll(func([][]byte, int64) (int, error) { return 0, nil }, 0, parts); !errors.Is(err, medium.ErrShort) {
		t.Errorf("no progress: %v", err)
	}
	calls := 0
	write := func([][]byte, int64) (int, error) {
		if calls++; calls > 1 {
			return -1, syscall.EIO
		}
		return 2, nil
	}
	if err := medium.WriteAll(write, 0, parts); !errors.Is(err, syscall.EIO) {
		t.Errorf("a failure half-way: %v", err)
	}
	if string(bytes.Join(parts, nil)) != "abcdefgh" {
		t.Error("the parts were changed")
	}
}

// What is DAX is mapped with MAP_SYNC, not only tried so, and what is not is not; where the file
// was extended too.
func TestMappedWithSync(t *testing.T) {
	onAll(t, func(t *testing.T, g ground) {
		if g.dir == nil {
			t.Skip("no file system")
		}
		m, _ := g.create(t, page, 4*page)
		for range 2 {
			view, alias, err := m.Mappings()
			ok(t, err)
			if want := g.kind == medium.DAX; medium.HasSync(view) != want || medium.HasSync(alias) != want {
				t.Errorf("MAP_SYNC is not %v: VmFlags %q to read, %q to write", want, view, alias)
			}
			if strings.Contains(" "+view+" ", " wr ") || !strings.Contains(" "+alias+" ", " wr ") {
				t.Errorf("what may be written is not what should: VmFlags %q to read, %q to write", view, alias)
			}
			ok(t, m.Extend(4*page))
		}
	})
}

// One write takes as many parts as its caller has.
func TestManyParts(t *testing.T) {
	onAll(t, func(t *testing.T, g ground) {
		const n = 3000
		m, _ := g.create(t, n*8, n*8)
		parts, want := make([][]byte, n), make([]byte, n*8)
		for i := range parts {
			put8(want[i*8:], uint64(i)+1)
			parts[i] = want[i*8 : i*8+8]
		}
		ok(t, m.WriteAll(0, parts, medium.Log))
		got := make([]byte, n*8)
		if ok(t, m.Read(0, got)); !bytes.Equal(got, want) {
			t.Error("it holds something else")
		}
	})
}

// Where a file system can't allocate, zeros are written, and nothing that is there is lost.
func TestZeros(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "zeros"))
	ok(t, err)
	defer f.Close()
	_, err = f.WriteString("kept")
	ok(t, err, medium.Zero(f, 3<<20+5))
	content, err := os.ReadFile(f.Name())
	ok(t, err)
	if want := append([]byte("kept"), make([]byte, 3<<20+1)...); !bytes.Equal(content, want) {
		t.Errorf("%d bytes, of which the first are %q", len(content), content[:8])
	}
}

// The memory of a volatile medium can't be taken away from under it.
func TestVolatileIsSealed(t *testing.T) {
	if medium.RaceEnabled {
		t.Skip("in a program built with -race it is on the Go heap")
	}
	m, _ := grounds[0].create(t, 8192, 16384)
	if err := m.Truncate(4096); !errors.Is(err, syscall.EPERM) {
		t.Errorf("made shorter: %v", err)
	}
	ok(t, m.Extend(16384))
}

// What is outside, or not aligned where it must be, is refused on all media, and changes
// nothing.
func TestRefused(t *testing.T) {
	onAll(t, func(t *testing.T, g ground) {
		m, _ := g.create(t, 4096, 8192)
		ones := bytes.Repeat([]byte{1}, 16)
		p := m.Pin()
		defer p.Unpin()
		_, view := m.View(4090, 7)
		_, load := m.Load8(4096)
		for i, err := range []error{
			m.Store8(4096, 1, 0), m.Store8(-8, 1, 0), m.Store(4090, ones, 0), m.Store(-1, ones, 0), m.Write(4088, ones, 0),
			m.WriteAll(4088, [][]byte{ones[:8], ones[:8]}, 0), m.Persist(1, 4096), m.Persist(-1, 1), m.Persist(1<<62, 1<<62),
			m.PersistAll([]medium.Extent{{Off: 0, Len: 8}, {Off: 4096, Len: 1}}), m.StorePersist8(4096, 1, 0),
			p.Stream(4088, ones, 0), p.Flush(4096, 1), m.Read(4081, ones), view, load,
			second(m.CompareAndSwap8(4096, 0, 1, 0)), m.Extend(0), m.Extend(8200),
		} {
			if !errors.Is(err, medium.ErrRange) {
				t.Errorf("call %d outside: %v", i, err)
			}
		}
		_, load = m.Load8(4)
		for i, err := range []error{
			m.Store8(4, 1, 0), m.Write(4, ones, 0), m.Write(8, ones[:9], 0), m.WriteAll(0, [][]byte{ones[:4], ones[:4]}, 0), m.StorePersist8(12, 1, 0),
			p.Stream(1, ones, 0), p.Stream(8, ones[:7], 0), load, second(m.CompareAndSwap8(4, 0, 1, 0)), m.Extend(4100),
		} {
			if !errors.Is(err, medium.ErrAlign) {
				t.Errorf("call %d not aligned: %v", i, err)
			}
		}
		content := make([]byte, 4096)
		ok(t, m.Read(0, content))
		if !bytes.Equal(content, make([]byte, 4096)) {
			t.Error("a call that was refused changed something")
		}
		ok(t, m.Store(4096, nil, 0), m.Write(4096, nil, 0), m.WriteAll(0, nil, 0), m.Persist(4096, 0), m.PersistAll(nil), p.Flush(0, 0), p.Stream(0, nil, 0), m.Read(4096, nil))
	})
}
