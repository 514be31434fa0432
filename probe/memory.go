package probe

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

var pageSize = os.Getpagesize()

const (
	rw = sys.ProtRead | sys.ProtWrite
	rx = sys.ProtRead | sys.ProtExec

	private = sys.MapPrivate
	shared  = sys.MapShared
)

// word is what own memory is filled with, so that what was read is known again.
const word = "safevma\x01"

// TheBytes says that exactly what stands in the memory was read.
const TheBytes Answer = "the bytes"

func fill(b []byte) {
	for i := range b {
		b[i] = word[i%len(word)]
	}
}

// isWord says what n bytes that were read are.
func isWord(b []byte, n int, err error) Answer {
	switch {
	case err != nil:
		return answer(err)
	case n != len(b):
		return answerf("%d of %d bytes", n, len(b))
	case bytes.Equal(b, bytes.Repeat([]byte(word), len(b)/len(word)+1)[:len(b)]):
		return TheBytes
	case len(bytes.Trim(b, "\x00")) == 0:
		return "zeroes"
	}
	return "other bytes"
}

// hasWord reads the begin of mapped memory by the processor.
func hasWord(b []byte) Answer {
	got := make([]byte, len(word))
	if a := faulting(func() { copy(got, b) }); a != OK {
		return a
	}
	return isWord(got, len(got), nil)
}

// mapped maps, or stops the probe.
func (t *trial) mapped(pages, prot, flags int, f *os.File) []byte {
	fd := -1
	if f == nil {
		flags |= sys.MapAnonymous
	} else {
		fd = int(f.Fd())
	}
	b, err := sys.Mmap(pages*pageSize, prot, flags, fd, 0)
	if errors.Is(err, syscall.EAGAIN) {
		t.stop(Privilege, "mmap: EAGAIN: %s", memlock)
	}
	t.must("mmap", err)
	return b
}

// memlock is what stands in the way where less can be locked than a probe takes.
const memlock = "RLIMIT_MEMLOCK is too small, and CAP_IPC_LOCK lacks"

// untouched is anonymous memory that no page stands behind yet.
func (t *trial) untouched(pages int) []byte { return t.mapped(pages, rw, private, nil) }

// anon is anonymous memory that is filled.
func (t *trial) anon(pages int) []byte {
	b := t.untouched(pages)
	fill(b)
	return b
}

// protected is filled anonymous memory with a protection.
func (t *trial) protected(pages, prot int) []byte {
	b := t.anon(pages)
	t.must("mprotect", sys.Mprotect(b, prot))
	return b
}

// memfd makes a memfd whose pages are filled.
func (t *trial) memfd(flags, pages int) *os.File {
	f, err := sys.MemfdCreate("safevma-probe", flags)
	if errors.Is(err, syscall.EINVAL) && flags&(sys.MfdExec|sys.MfdNoexecSeal) != 0 {
		t.stop(Missing, "memfd_create(%#x): EINVAL (before Linux 6.3)", flags)
	}
	t.must("memfd_create", err)
	b := make([]byte, pages*pageSize)
	fill(b)
	if len(b) > 0 {
		_, err = f.Write(b)
		t.must("write to a memfd", err)
	}
	return f
}

// sealed is a memfd with seals.
func (t *trial) sealed(pages, seals int) *os.File {
	f := t.memfd(sys.MfdAllowSealing|t.exec(), pages)
	t.must("F_ADD_SEALS", sys.AddSeals(f, seals))
	return f
}

// exec is MFD_EXEC where the kernel knows it, so that no setting of the host changes what
// a memfd is.
func (t *trial) exec() int {
	f, err := sys.MemfdCreate("safevma-probe", sys.MfdExec)
	if err != nil {
		return 0
	}
	f.Close()
	return sys.MfdExec
}

// file makes a file in the temporary folder, filled.
func (t *trial) file(name string, pages int) *os.File {
	f, err := os.OpenFile(filepath.Join(t.dir, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	t.must("a file", err)
	b := make([]byte, pageSize)
	fill(b)
	for range pages {
		_, err = f.Write(b)
		t.must("write to a file", err)
	}
	return f
}

// own is this process, to be looked at.
func (t *trial) own() *process.Process {
	p, err := process.Default().Open(os.Getpid())
	t.must("/proc/self", err)
	return p
}

// look returns what the kernel says of the mapping that b begins in.
func (t *trial) look(b []byte) vma.VMA {
	var found *vma.VMA
	var r vma.Reader
	p := t.own()
	defer p.Close()
	err := r.Smaps(p, func(v *vma.VMA) error {
		if at := sys.Addr(b); v.Start <= at && at < v.End {
			c := v.Clone()
			found = &c
		}
		return nil
	})
	t.must("/proc/self/smaps", err)
	if found == nil {
		t.stop(Failed, "no mapping at %#x in /proc/self/smaps", sys.Addr(b))
	}
	return *found
}

// hasFlag tells whether the mapping has one of the VmFlags, by its code.
func (t *trial) hasFlag(b []byte, code string) Answer {
	for _, c := range t.look(b).Flags.Codes() {
		if c == code {
			return Answer(code)
		}
	}
	return Answer("no " + code)
}

// present counts the pages of b that are in memory, by pagemap.
func (t *trial) present(b []byte) int {
	n := 0
	var r vma.Reader
	p := t.own()
	defer p.Close()
	err := r.Pages(p, sys.Addr(b), sys.Addr(b)+uint64(len(b)), func(_ uint64, page vma.Page) error {
		if page.Present() {
			n++
		}
		return nil
	})
	t.must("/proc/self/pagemap", err)
	return n
}

// resident says how many pages of b are in memory.
func (t *trial) resident(b []byte) Answer {
	return Answer(fmt.Sprintf("%d of %d pages", t.present(b), len(b)/pageSize))
}

// memFile opens /proc/self/mem.
func (t *trial) memFile() *os.File {
	f, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	t.must("/proc/self/mem", err)
	return f
}

// writeMem writes the first byte of b through /proc/self/mem, and says whether it is there.
func (t *trial) writeMem(b []byte) Answer {
	mem := t.memFile()
	defer mem.Close()
	if _, err := sys.Pwrite(mem, []byte{'S'}, int64(sys.Addr(b))); err != nil {
		return answer(err)
	}
	if b[0] != 'S' {
		return "no effect"
	}
	return OK
}

// find returns the own mapping of a name.
func (t *trial) find(name string) []byte {
	var found []byte
	var r vma.Reader
	p := t.own()
	defer p.Close()
	err := r.Maps(p, func(v *vma.VMA) error {
		if string(v.Name) == name {
			found = sys.Bytes(v.Start, int(v.Size()))
		}
		return nil
	})
	t.must("/proc/self/maps", err)
	if found == nil {
		t.stop(Missing, "no mapping %s", name)
	}
	return found
}

// areas counts the mappings that lie in b, which is of whole mappings. The Go runtime makes some
// elsewhere at any time.
func (t *trial) areas(b []byte) int {
	n := 0
	var r vma.Reader
	p := t.own()
	defer p.Close()
	from := sys.Addr(b)
	t.must("/proc/self/maps", r.Maps(p, func(v *vma.VMA) error {
		if from <= v.Start && v.End <= from+uint64(len(b)) {
			n++
		}
		return nil
	}))
	return n
}
