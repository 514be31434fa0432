package offender

import (
	"os"
	"path/filepath"

	"github.com/safevma/safevma/internal/sys"
)

const (
	protRW  = sys.ProtRead | sys.ProtWrite
	protRX  = sys.ProtRead | sys.ProtExec
	protRWX = sys.ProtRead | sys.ProtWrite | sys.ProtExec
)

var pageSize = os.Getpagesize()

func bounds(b []byte) (start, end Addr) {
	start = Addr(sys.Addr(b))
	return start, start + Addr(len(b))
}

// keep maps pages and keeps them until the end. A refusal means that it can't be
// done here: every mapping asked for is one that an ordinary kernel grants.
func (r *run) keep(pages, prot, flags int, f *os.File) ([]byte, error) {
	fd := -1
	if f != nil {
		fd = int(f.Fd())
	}
	b, err := sys.Mmap(pages*pageSize, prot, flags, fd, 0)
	if err != nil {
		return nil, cannot("mmap", err)
	}
	r.mapped = append(r.mapped, b)
	return b, nil
}

// anonymous maps private anonymous pages between two inaccessible ones, so that they
// do not merge with a mapping of the runtime and are a VMA of their own.
func (r *run) anonymous(pages, prot int) ([]byte, error) {
	all, err := r.keep(pages+2, sys.ProtNone, sys.MapPrivate|sys.MapAnonymous, nil)
	if err != nil {
		return nil, err
	}
	b := all[pageSize : (pages+1)*pageSize]
	return b, cannot("mprotect", sys.Mprotect(b, prot))
}

// touch makes every page present, and different from every other.
func touch(b []byte) {
	for i := 0; i < len(b); i += pageSize {
		b[i] = byte(i/pageSize + 1)
	}
}

// file makes a file of the given number of pages in the run's directory and opens it
// for reading and writing.
func (r *run) file(name string, pages int) (*os.File, error) {
	dir, err := r.tempDir()
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return nil, err
	}
	r.onEnd(func() { f.Close() })
	content := make([]byte, pages*pageSize)
	touch(content)
	if _, err := f.Write(content); err != nil {
		return nil, err
	}
	return f, nil
}

// mapFile makes a file and maps it, through a descriptor that can only read unless
// the mapping is shared and writable. The descriptor is closed again.
func (r *run) mapFile(name string, pages, prot, flags int) ([]byte, error) {
	f, err := r.file(name, pages)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if flags&sys.MapShared != 0 && prot&sys.ProtWrite != 0 {
		return r.keep(pages, prot, flags, f)
	}
	ro, err := os.Open(f.Name())
	if err != nil {
		return nil, err
	}
	defer ro.Close()
	return r.keep(pages, prot, flags, ro)
}

// memfd makes a memfd of the given number of pages and keeps it open.
func (r *run) memfd(flags, pages int) (*os.File, error) {
	f, err := sys.MemfdCreate("offender", flags)
	if err != nil {
		return nil, cannot("memfd_create", err)
	}
	r.onEnd(func() { f.Close() })
	r.report.FD = int(f.Fd())
	return f, f.Truncate(int64(pages * pageSize))
}
