package medium

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/pmem/medium/internal/line"
)

// Word is what a failure never tears when it is aligned, in bytes.
const Word = 8

// way is how calls are carried out. Those up to pageCache are mapped and writable.
type way uint8

const (
	volatile way = iota
	dax
	pageCache
	recorded
	readOnly
	closed
)

// Medium is a range of bytes that outlives what happens to the process, as far as its
// [Info] says. See the package comment for concurrency.
type Medium struct {
	way   way
	size  atomic.Int64
	alias []byte // writable, as long as it may become; nil where nothing is written
	view  []byte // read-only
	info  Info

	// Each of the files is an open file description of its own: see description.
	file    *os.File // mapped to write, synced and locked; nil: no file
	reader  *os.File // mapped to read, and opened so: nobody makes that mapping writable
	log     *os.File // for writes that are durable on return
	dir     *os.File // of a created file
	name    string   // that Link gives it there
	device  uint64
	mapping mapping
	ranged  bool // RWF_DSYNC works
	sync    description
	append  description
	failed  atomic.Bool // a sync failed

	recorder  Recorder
	scheduler Scheduler
	calls     int
	word      [Word]byte // lent to the recorder
}

// Info is what was found about a medium. What could not be found is named so, and -1 for
// nodes.
type Info struct {
	Kind Kind
	// Domain says which failures spare what was made durable, and on DAX what the kernel says
	// of the region's persistence domain.
	Domain string
	// EADR: the CPU's caches survive a power failure too; nothing needs to be flushed.
	EADR bool
	// Found says how the kind was found: what was tried, with the answer of the kernel.
	Found string
	// Flush and Stream are the instructions, or system calls, that make stores durable.
	Flush, Stream string
	// Unit is how many bytes become durable together, at best: a cache line, or a page.
	Unit int
	// Atom is how many aligned bytes a failure never tears.
	Atom int
	// PageSize is the page size of the mapping, in bytes; huge pages come on top of it.
	PageSize int
	// Node is the NUMA node of the memory, ThreadNode that of the thread that asked.
	Node, ThreadNode int
}

func unitOf(k Kind) int {
	if k == PageCache {
		return os.Getpagesize()
	}
	return line.Size
}

// Info returns what was found about the medium when it was opened.
func (m *Medium) Info() Info { return m.info }

// Size returns how long the medium is, in bytes.
func (m *Medium) Size() int64 { return m.size.Load() }

// Extent is a range of bytes of the medium.
type Extent struct{ Off, Len int64 }

// within reports whether n bytes at an offset are inside the medium.
func (m *Medium) within(off, n int64) bool {
	size := m.size.Load()
	return off >= 0 && n >= 0 && n <= size && off <= size-n
}

// ready says why bytes can't be written, or nil.
func (m *Medium) ready(op string, off, n int64) error {
	switch {
	case m.way == closed:
		return fail(op, off, n, ErrClosed)
	case m.way == readOnly:
		return fail(op, off, n, ErrReadOnly)
	case !m.within(off, n):
		return fail(op, off, n, ErrRange)
	}
	return nil
}

// aligned is ready, for ranges of whole words.
func (m *Medium) aligned(op string, off, n int64) error {
	if off%Word != 0 || n%Word != 0 {
		return fail(op, off, n, ErrAlign)
	}
	return m.ready(op, off, n)
}

// Extend makes the medium longer, with zeros. The space is allocated: nothing fails later for
// want of it, and a full device is ENOSPC here, which leaves the file as long as it was. One call at a time. The new size survives a failure only after
// [Medium.SyncFile], so nothing durable may point there before.
func (m *Medium) Extend(size int64) error {
	old := m.size.Load()
	if err := m.aligned("extend", 0, 0); err != nil {
		return err
	}
	switch {
	case size%Word != 0:
		return fail("extend", old, size-old, ErrAlign)
	case size < old:
		return fail("extend", old, size-old, fmt.Errorf("%w: a medium does not become shorter", ErrRange))
	case size == old:
		return nil
	case m.way == recorded:
		return m.recordExtend(size)
	case size > int64(len(m.view)):
		return fail("extend", old, size-old, fmt.Errorf("%w: it was opened to become %d bytes at most: %w", ErrRange, len(m.view), syscall.ENOSPC))
	}
	if err := m.grow(size); err != nil {
		return fail("extend", old, size-old, err)
	}
	m.size.Store(size)
	return nil
}

// Allocate makes sure that stores to a range do not lack space, and leaves its bytes alone. A full
// device is ENOSPC here. It is for a medium that was opened sparse.
func (m *Medium) Allocate(off, n int64) error {
	if err := m.ready("allocate", off, n); err != nil || n == 0 {
		return err
	}
	if m.way == recorded {
		return fail("allocate", off, n, m.recorder.Event(Event{Action: Allocate, Off: off, Len: n}))
	}
	if m.file == nil {
		return nil
	}
	err := sys.Fallocate(m.file, off, n)
	if errors.Is(err, syscall.EOPNOTSUPP) { // there, the device may be full at any store
		return nil
	}
	return fail("allocate", off, n, os.NewSyscallError("fallocate", err))
}

// Link gives a created file its name. It survives a failure only after
// [Medium.SyncDirectory]; call [Medium.SyncFile] before it, so that whoever finds the name
// finds the content. A name that is taken is EEXIST.
func (m *Medium) Link() error {
	if err := m.ready("link", 0, 0); err != nil {
		return err
	}
	if m.way == recorded {
		return m.recordLink()
	}
	return fail("link", 0, 0, m.link())
}

// SyncDirectory makes the name of a created file durable.
func (m *Medium) SyncDirectory() error {
	if err := m.ready("sync of the directory", 0, 0); err != nil {
		return err
	}
	if m.way == recorded {
		return m.recordSyncDirectory()
	}
	if m.dir == nil {
		return nil
	}
	return m.synced("sync of the directory", 0, 0, &m.sync, m.dir.Sync)
}

// SyncFile makes the size of the file durable, and on PageCache all that was stored in it.
func (m *Medium) SyncFile() error {
	if err := m.ready("sync of the file", 0, 0); err != nil {
		return err
	}
	if m.way == recorded {
		return m.recordSyncFile()
	}
	if m.file == nil {
		return nil
	}
	return m.synced("sync of the file", 0, m.size.Load(), &m.sync, m.file.Sync)
}
