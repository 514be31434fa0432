package medium

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// ErrLocked reports a file that another medium has open, in this process or another.
var ErrLocked = errors.New("the file is in use")

// Options say how a file is opened.
type Options struct {
	// Most is how long the medium may become by Extend, in bytes: addresses are reserved for
	// it, nothing else. At least the size.
	Most int64
	// ReadOnly opens to read, which others may do at the same time.
	ReadOnly bool
	// Unlocked, together with ReadOnly, opens beside a medium that writes. What is read may
	// change at any time, and a file that becomes longer does not do so here.
	Unlocked bool
	// Sparse leaves what is not allocated as it is: [Medium.Allocate] it before it is written,
	// or a store faults where the device is full.
	Sparse bool
	// AssumeDAX treats a file that lives in memory (tmpfs) as persistent memory: its stores are
	// flushed and fenced. It is for measuring. Nothing survives the loss of power all the same.
	AssumeDAX bool
}

// Create makes a file of zeros of that size, allocated, without a name. When what has to be
// in it is durable ([Medium.SyncFile]), [Medium.Link] gives it the name, and
// [Medium.SyncDirectory] makes that durable; a file that was never linked vanishes with the
// process. The size is a multiple of 8.
//
// The file system must know files without a name (O_TMPFILE), as ext4, xfs, btrfs and tmpfs
// do: EOPNOTSUPP says that it does not. Where space can't be allocated beforehand, zeros are
// written.
func Create(name string, size int64, o Options) (*Medium, error) {
	if size < Word || size%Word != 0 {
		return nil, fail("create "+name, 0, size, ErrAlign)
	}
	if o.ReadOnly || o.Unlocked {
		return nil, fail("create "+name, 0, size, ErrReadOnly)
	}
	directory, base := filepath.Split(name)
	if directory == "" {
		directory = "."
	}
	dir, err := os.Open(directory)
	if err != nil {
		return nil, err
	}
	m := &Medium{dir: dir, name: base}
	if m.file, err = sys.OpenUnnamed(directory, 0o600); err == nil {
		err = m.prepare(size, o)
	}
	if err == nil {
		err = m.open(size, o)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create %s: %w", name, err), m.Close())
	}
	return m, nil
}

// prepare gives a new file its size.
func (m *Medium) prepare(size int64, o Options) error {
	if o.Sparse {
		return m.file.Truncate(size)
	}
	return allocate(m.file, 0, size)
}

// Open opens a file. What of it is not allocated is, so that no store fails for want of space.
// A file that another medium writes is [ErrLocked], and so is one that another reads where
// this one would write.
func Open(name string, o Options) (*Medium, error) {
	flags := os.O_RDWR
	if o.ReadOnly {
		flags = os.O_RDONLY
	}
	f, err := os.OpenFile(name, flags, 0)
	if err != nil {
		return nil, err
	}
	m := &Medium{file: f}
	if err := m.openNamed(o); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", name, err), m.Close())
	}
	return m, nil
}

func (m *Medium) openNamed(o Options) error {
	st, err := m.file.Stat()
	switch {
	case err != nil:
		return err
	case !st.Mode().IsRegular():
		return errors.New("not a regular file")
	case st.Size() < Word || st.Size()%Word != 0:
		return fmt.Errorf("a size of %d bytes: %w, or too small", st.Size(), ErrAlign)
	}
	return m.open(st.Size(), o)
}

// open maps m.file and finds its kind.
func (m *Medium) open(size int64, o Options) error {
	if !o.Unlocked || !o.ReadOnly {
		if err := lock(m.file, !o.ReadOnly); err != nil {
			return err
		}
	}
	st, err := sys.Stat(m.file)
	if err != nil {
		return err
	}
	m.device = st.Dev
	m.sync, m.append = newDescription(), newDescription()
	if m.reader, err = sys.Reopen(m.file); err != nil {
		return err
	}
	most := pages(max(size, o.Most))
	if m.view, err = m.mapping.reserve(most); err != nil {
		return err
	}
	m.size.Store(size)
	if o.ReadOnly {
		return m.openToRead(o)
	}
	if err := m.fillHoles(st, size, o); err != nil {
		return err
	}
	if m.log, err = sys.ReopenWritable(m.file); err != nil {
		return err
	}
	if m.alias, err = m.mapping.reserve(most); err != nil {
		return err
	}
	return m.find(o)
}

func (m *Medium) fillHoles(st sys.FileStat, size int64, o Options) error {
	if o.Sparse {
		return nil
	}
	err := allocate(m.file, 0, size)
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSPC) && full(st) {
		return nil
	}
	return err
}

// full reports a file that has as many blocks as it needs. Some file systems (xfs) want free space
// as for a new one all the same.
func full(st sys.FileStat) bool { return st.Blocks*512 >= st.Size }

func (m *Medium) openToRead(o Options) error {
	err := m.find(o)
	m.way = readOnly
	return err
}

func lock(f *os.File, exclusive bool) error {
	err := sys.Flock(f, exclusive)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrLocked
	}
	return os.NewSyscallError("flock", err)
}

// allocate makes a file longer, or fills its holes, so that no store to it lacks space.
func allocate(f *os.File, from, to int64) error {
	err := sys.Fallocate(f, from, to-from)
	if errors.Is(err, syscall.EOPNOTSUPP) {
		return zero(f, to)
	}
	return os.NewSyscallError("fallocate", err)
}

// zero makes a file longer by writing zeros at its end.
func zero(f *os.File, to int64) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	zeros := make([]byte, 1<<20)
	for off := st.Size(); off < to; off += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), to-off)], off); err != nil {
			return err
		}
	}
	return nil
}

func (m *Medium) link() error {
	if m.dir == nil {
		return fmt.Errorf("%w: the file has its name already", syscall.EEXIST)
	}
	return sys.LinkUnnamed(m.file, m.dir, m.name)
}

// Close releases the medium. It makes nothing durable.
func (m *Medium) Close() error {
	if m.way == closed {
		return nil
	}
	m.way = closed
	errs := []error{m.mapping.release()}
	m.view, m.alias = nil, nil
	for _, f := range []*os.File{m.log, m.reader, m.file, m.dir} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
