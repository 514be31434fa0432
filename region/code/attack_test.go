package code

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/safevma/safevma/internal/sys"
)

var errFault = errors.New("SIGSEGV")

// attack tries to change memory. All write what stands there, if they can, or take it away.
type attack struct {
	name string
	do   func(b []byte) error
	// open and sealed are what it must meet at an arena before and after Seal; nil where Seal alone
	// stops it, and it is not tried before.
	open, sealed error
}

var attacks = []attack{
	{"store", store, errFault, errFault},
	{"mprotect to RW", func(b []byte) error { return sys.Mprotect(b, sys.ProtRead|sys.ProtWrite) }, syscall.EACCES, syscall.EACCES},
	{"mprotect to RWX", func(b []byte) error { return sys.Mprotect(b, sys.ProtRead|sys.ProtWrite|sys.ProtExec) }, syscall.EACCES, syscall.EACCES},
	{"mprotect to nothing", func(b []byte) error { return sys.Mprotect(b, sys.ProtNone) }, nil, syscall.EPERM},
	{"/proc/self/mem", procMem, syscall.EIO, syscall.EIO},
	{"process_vm_writev", writev, syscall.EFAULT, syscall.EFAULT},
	{"madvise to remove", func(b []byte) error { return sys.Madvise(b, 9) }, syscall.EACCES, syscall.EACCES}, // MADV_REMOVE
	{"write to its file", viaFile(func(f *os.File) error { _, err := f.WriteAt([]byte{0x90}, 0); return err }), syscall.EPERM, syscall.EPERM},
	{"truncate its file", viaFile(func(f *os.File) error { return f.Truncate(0) }), syscall.EPERM, syscall.EPERM},
	{"punch a hole in its file", viaFile(func(f *os.File) error { return syscall.Fallocate(int(f.Fd()), 3, 0, 4096) }), syscall.EPERM, syscall.EPERM},
	{"a second, writable mapping", viaFile(mapWritable), syscall.EPERM, syscall.EPERM},
	{"a private mapping in its place", func(b []byte) error {
		return sys.MmapAt(b, sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapAnonymous, -1, 0)
	}, nil, syscall.EPERM},
	{"mremap", mremap, nil, syscall.EPERM},
	{"munmap", sys.Munmap, nil, syscall.EPERM},
}

func procMem(b []byte) error {
	f, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteAt([]byte{0x90}, int64(sys.Addr(b)))
	return err
}

var errNoMapFiles = errors.New("map_files is for root")

// viaFile opens the file behind a mapping, as root can, and attacks that.
func viaFile(do func(*os.File) error) func([]byte) error {
	return func(b []byte) error {
		addr := sys.Addr(b)
		f, err := os.OpenFile(fmt.Sprintf("/proc/self/map_files/%x-%x", addr, addr+uint64(len(b))), os.O_RDWR, 0)
		if errors.Is(err, syscall.EPERM) || errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w: %w", errNoMapFiles, err)
		}
		if err != nil {
			return err
		}
		defer f.Close()
		return do(f)
	}
}

func mapWritable(f *os.File) error {
	b, err := sys.Mmap(os.Getpagesize(), sys.ProtRead|sys.ProtWrite, sys.MapShared, int(f.Fd()), 0)
	if err != nil {
		return err
	}
	return sys.Munmap(b)
}

// Each way to change memory works on ordinary shared memory, and not on what executes.
func TestAttacks(t *testing.T) {
	for _, tt := range attacks {
		t.Run(tt.name, func(t *testing.T) {
			a := newArena(t, os.Getpagesize())
			p := add(t, a, adder(t, 9))
			publish(t, a)
			if err := tt.do(ordinary(t)); errors.Is(err, errNoMapFiles) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal("the control on ordinary memory: ", err)
			}
			before := bytes.Clone(a.place)
			check := func(t *testing.T, want error) {
				t.Helper()
				if err := tt.do(a.place); !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
				if !bytes.Equal(before, a.place) {
					t.Fatal("what executes was changed")
				}
				runs(t, p, 9)
			}
			if tt.open != nil {
				check(t, tt.open)
			}
			t.Run("sealed", func(t *testing.T) { // the rest passed where this is skipped
				sealed(t, a)
				check(t, tt.sealed)
			})
		})
	}
}

// ordinary returns a page of shared memory.
func ordinary(t *testing.T) []byte {
	t.Helper()
	b, err := sys.Mmap(os.Getpagesize(), sys.ProtRead|sys.ProtWrite, sys.MapShared|sys.MapAnonymous, -1, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sys.Munmap(b) })
	return b
}

// A memfd that does not keep its seals is not mapped: the control is one that has them already.
func TestSealsAreChecked(t *testing.T) {
	f, err := sys.MemfdCreate("safevma-code", 0) // sealed against seals
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := fillAndSeal(f, []byte{1}); !errors.Is(err, syscall.EPERM) {
		t.Errorf("got %v", err)
	}
}
