package feature

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

const readWrite = sys.ProtRead | sys.ProtWrite

// ownPages maps n private pages that can be read and written. The caller unmaps them.
func ownPages(n int) ([]byte, error) {
	return sys.Mmap(n*os.Getpagesize(), readWrite, sys.MapPrivate|sys.MapAnonymous, -1, 0)
}

// fault is a signal that an access to memory raised.
type fault struct {
	addr uint64
	text string
}

func (f *fault) String() string {
	switch {
	case f == nil:
		return "no fault"
	case f.addr == 0:
		return "fault: " + f.text
	}
	return fmt.Sprintf("fault at %#x", f.addr)
}

// in reports whether the fault is one of b.
func (f *fault) in(b []byte) bool {
	return f != nil && f.addr >= sys.Addr(b) && f.addr < sys.Addr(b)+uint64(len(b))
}

// faulted does something that may touch memory which can't be accessed, and returns
// the fault: nil where there was none.
func faulted(touch func()) (f *fault) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		f = &fault{text: fmt.Sprint(r)}
		if at, ok := r.(interface{ Addr() uintptr }); ok { // see debug.SetPanicOnFault
			f.addr = uint64(at.Addr())
		}
	}()
	touch()
	return nil
}

// read and write are functions of their own so that the compiler keeps the access.
//
//go:noinline
func read(b []byte) byte { return b[0] }

//go:noinline
func write(b []byte, v byte) { b[0] = v }

// flagsOf returns the VmFlags of the VMA that holds b, as smaps has them.
func flagsOf(b []byte) (vma.Flags, error) {
	self, err := process.Default().Self()
	if err != nil {
		return 0, err
	}
	defer self.Close()
	addr, flags, found := sys.Addr(b), vma.Flags(0), errors.New("found")
	var reader vma.Reader
	err = reader.Smaps(self, func(v *vma.VMA) error {
		if v.Start > addr || addr >= v.End {
			return nil
		}
		flags = v.Flags
		return found
	})
	if errors.Is(err, found) {
		return flags, nil
	}
	if err == nil {
		err = fmt.Errorf("smaps has no VMA at %#x", addr)
	}
	return 0, err
}
