package medium_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/pmem/medium"
)

// onMapped runs fn on the media that are mapped: all but those on the Go heap.
func onMapped(t *testing.T, fn func(t *testing.T, g ground)) {
	onAll(t, func(t *testing.T, g ground) {
		if medium.RaceEnabled && g.dir == nil {
			t.Skip("in a program built with -race it is on the Go heap")
		}
		fn(t, g)
	})
}

// A store through what View lent faults, inside Guard as an error with its place, and changes
// nothing. The control: the same bytes can be read, and stored through the medium.
func TestStrayStore(t *testing.T) {
	onMapped(t, func(t *testing.T, g ground) {
		m, _ := g.create(t, 8192, 1<<20)
		ok(t, m.Store(4100, []byte("kept"), 0))
		view, err := m.View(4096, 64)
		ok(t, err)
		err = m.Guard(func() error { view[5] = 'X'; return nil })
		if off, fault := medium.IsFault(err); !fault || off != 4101 {
			t.Errorf("stray store: %v", err)
		}
		if err := sys.Mprotect(view[:1], sys.ProtRead|sys.ProtWrite); !errors.Is(err, syscall.EACCES) {
			t.Errorf("the view can be made writable: %v", err)
		}
		if got := string(view[4:8]); got != "kept" {
			t.Errorf("the stray store left %q", got)
		}
	})
}

// Beside both mappings nothing can be accessed, and nothing beyond the size.
func TestGuards(t *testing.T) {
	onMapped(t, func(t *testing.T, g ground) {
		m, _ := g.create(t, 8192, 1<<20)
		view, err := m.View(0, 8192)
		ok(t, err)
		for name, off := range map[string]int{"a byte before": -1, "2 MiB before": -2 << 20, "a byte behind": 8192, "at the end of what is reserved": 1 << 20, "2 MiB behind it": 3<<20 - 1} {
			var b byte
			err := m.Guard(func() error { b = *(*byte)(unsafe.Add(unsafe.Pointer(&view[0]), off)); return nil })
			if _, fault := medium.IsFault(err); !fault {
				t.Errorf("%s can be read: %d, %v", name, b, err)
			}
		}
		ok(t, m.Extend(16384))
		if err := m.Guard(func() error { _ = *(*byte)(unsafe.Add(unsafe.Pointer(&view[0]), 16383)); return nil }); err != nil {
			t.Errorf("after Extend: %v", err)
		}
	})
}

// In a goroutine that nobody guards the process dies, and the file is as it was.
func TestStrayStoreKills(t *testing.T) {
	const variable = "SAFEVMA_TEST_STRAY"
	if file := os.Getenv(variable); file != "" {
		m, err := medium.Open(file, medium.Options{})
		ok(t, err)
		view, err := m.View(0, 64)
		ok(t, err)
		view[3] = 'X'
		os.Exit(0)
	}
	m, file := grounds[2].create(t, 4096, 4096)
	ok(t, m.Store(0, []byte("kept"), 0), m.Close())
	out, err := child(t, "TestStrayStoreKills", variable+"="+file)
	if err == nil || !strings.Contains(out, "unexpected fault address") {
		t.Errorf("the child did not die of its store: %v\n%s", err, out)
	}
	content, err := os.ReadFile(file)
	ok(t, err)
	if !bytes.HasPrefix(content, []byte("kept")) {
		t.Errorf("the file was changed: %q", content[:8])
	}
}

// child runs one test of this binary in a process of its own.
func child(t *testing.T, test string, env ...string) (string, error) {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.count=1")
	c.Env = append(os.Environ(), env...)
	out, err := c.CombinedOutput()
	return string(out), err
}

// A page that is gone is an error with its offset, for reads and for stores, in Go and in
// assembly: here the file was cut off. Nothing else of the process suffers.
func TestLostPages(t *testing.T) {
	onMapped(t, func(t *testing.T, g ground) {
		if g.dir == nil {
			t.Skip("its memory can't become shorter")
		}
		m, file := g.create(t, 64<<10, 64<<10)
		view, err := m.View(32<<10, 16)
		ok(t, err)
		ok(t, os.Truncate(file, 16<<10))
		big := make([]byte, 64<<10-8)
		for name, err := range map[string]error{
			"read":   m.Read(8, big),
			"load":   second(m.Load8(16 << 10)),
			"view":   m.Guard(func() error { _ = bytes.Clone(view); return nil }),
			"store8": m.Guard(func() error { return m.Store8(20<<10, 1, 0) }),
			"store":  m.Guard(func() error { return m.Store(8<<10, make([]byte, 16<<10), 0) }),
		} {
			off, fault := medium.IsFault(err)
			if !fault || off < 16<<10 || off >= 64<<10 {
				t.Errorf("%s: %v", name, err)
			}
		}
		ok(t, m.Store8(8, 7, 0), m.Read(0, make([]byte, 16<<10)))
	})
}

func second[T any](_ T, err error) error { return err }

// The instructions of persistent memory fault as well.
func TestLostPagesOfDAX(t *testing.T) {
	m, file := grounds[1].create(t, 64<<10, 64<<10)
	m.AsDAX()
	ok(t, os.Truncate(file, 16<<10))
	for name, call := range map[string]func() error{
		"write":           func() error { return m.Write(8<<10, make([]byte, 16<<10), 0) },
		"store persist":   func() error { return m.StorePersist8(16<<10, 1, 0) },
		"several at once": func() error { return m.WriteAll(0, [][]byte{make([]byte, 16<<10), make([]byte, 64)}, 0) },
	} {
		if off, fault := medium.IsFault(m.Guard(call)); !fault || off < 16<<10 {
			t.Errorf("%s: fault at %d: %v", name, off, fault)
		}
	}
}

// Guard turns faults into errors, and nothing else: a nil pointer is a fault of the caller's.
func TestGuardPasses(t *testing.T) {
	m, _ := grounds[0].create(t, 4096, 4096)
	want := errors.New("mine")
	if err := m.Guard(func() error { return want }); err != want {
		t.Errorf("an error became %v", err)
	}
	func() {
		defer func() {
			if r := recover(); r != "mine" {
				t.Errorf("a panic became %v", r)
			}
		}()
		m.Guard(func() error { panic("mine") })
		t.Error("a panic was swallowed")
	}()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a nil pointer was swallowed")
			}
		}()
		var nothing *int
		m.Guard(func() error { *nothing = 1; return nil })
	}()
}
