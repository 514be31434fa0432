package medium

import (
	"encoding/binary"
	"fmt"
	"syscall"
)

// Event is one step of what is done to a recorded medium.
type Event struct {
	Action Action
	Class  Class // of a Store or Stream
	Scope  Scope // of a SyncBegin or SyncEnd
	Thread int   // who flushes, streams and fences: no two calls share one, unless pinned
	ID     int   // of a sync
	Off    int64
	Len    int64
	Data   []byte // lent: copy what must outlive the call
}

// Recorder hears of all that is done to a medium, before it takes effect. It is called by the
// goroutine that does it, so that its own call stack shows where ([runtime.Callers]); it
// does not switch to another goroutine, for which there is [Scheduler].
type Recorder interface {
	// Event hears of one step. With an error the step has no effect and the call returns the
	// error: so failures are injected. A store that fails with a [ShortWrite] takes effect in
	// part. A SyncEnd with an error is a sync that failed.
	Event(e Event) error
	// Read hears of bytes that are about to be read or lent. With an error they are not: so
	// poison is injected.
	Read(off, n int64) error
}

// ShortWrite is an error with which a [Recorder] lets only the first bytes of a store through.
type ShortWrite int64

func (s ShortWrite) Error() string { return fmt.Sprintf("stopped after %d bytes", int64(s)) }

// Is makes it an [ErrShort].
func (s ShortWrite) Is(target error) bool { return target == ErrShort }

// Emulation says how a recorded medium behaves.
type Emulation struct {
	Kind Kind // DAX or PageCache
	Unit int  // in bytes; 0 is 64 for DAX and 4096 for PageCache
}

// Record returns a medium that lives in the given memory and tells r of each step, as a medium
// of that kind would take it. The memory is the caller's: its length is the size of the
// medium, which is a multiple of 8, its capacity is how far it can be extended, and it may be
// changed between calls, to recover another image or to undo what a recovery did. Nothing is
// released by Close.
func Record(memory []byte, as Emulation, r Recorder) (*Medium, error) {
	if as.Kind != DAX && as.Kind != PageCache {
		return nil, fmt.Errorf("a recorded medium behaves as dax or page cache, not as %v", as.Kind)
	}
	if len(memory)%Word != 0 {
		return nil, fail("record", 0, int64(len(memory)), ErrAlign)
	}
	if as.Unit == 0 {
		as.Unit = unitOf(as.Kind)
	}
	m := &Medium{way: recorded, recorder: r, alias: memory[:cap(memory)], view: memory[:cap(memory)]}
	m.scheduler, _ = r.(Scheduler)
	m.info = Info{Kind: as.Kind, Unit: as.Unit, Atom: Word, Node: -1, ThreadNode: -1, Domain: "emulated"}
	m.size.Store(int64(len(memory)))
	return m, nil
}

// serial returns a number that no other call has.
func (m *Medium) serial() int {
	m.calls++
	return m.calls
}

// point lets other goroutines go on.
func (m *Medium) point() {
	if m.scheduler != nil {
		m.scheduler.Wait(nil)
	}
}

// hear tells of a store, and makes it.
func (m *Medium) hear(a Action, thread int, off int64, data []byte, class Class) error {
	err := m.recorder.Event(Event{Action: a, Class: class, Thread: thread, Off: off, Len: int64(len(data)), Data: data})
	if err != nil {
		if short, ok := err.(ShortWrite); ok && int64(short) > 0 {
			copy(m.alias[off:], data[:min(int64(short), int64(len(data)))])
		}
		return fail(a.String(), off, int64(len(data)), err)
	}
	copy(m.alias[off:], data)
	return nil
}

func (m *Medium) recordStore(off int64, data []byte, class Class) error {
	m.point()
	for len(data) > 0 {
		n := piece(off, len(data))
		if err := m.hear(Store, 0, off, data[:n], class); err != nil {
			return err
		}
		off, data = off+int64(n), data[n:]
	}
	return nil
}

// piece is how much of n bytes at an offset is stored before the next step: naturally aligned
// parts of words at the ends, all whole words between.
func piece(off int64, n int) int {
	if off%Word == 0 && n >= Word {
		return n &^ (Word - 1)
	}
	size := 1
	for size < Word/2 && off%int64(2*size) == 0 && 2*size <= n {
		size *= 2
	}
	return size
}

func (m *Medium) recordStore8(off int64, v uint64, class Class) error {
	m.point()
	return m.hearWord(off, v, class)
}

// hearWord tells of the store of a word. The recorder does not let others go on meanwhile, so
// one buffer serves all.
func (m *Medium) hearWord(off int64, v uint64, class Class) error {
	binary.LittleEndian.PutUint64(m.word[:], v)
	return m.hear(Store, 0, off, m.word[:], class)
}

func (m *Medium) recordWrite(off, n int64, parts [][]byte, class Class) error {
	m.point()
	all := make([]byte, 0, n)
	for _, p := range parts {
		all = append(all, p...)
	}
	if m.info.Kind == PageCache {
		if err := m.hear(Store, 0, off, all, class); err != nil {
			return err
		}
		return m.recordSync(Range, off, n)
	}
	thread := m.serial()
	if err := m.hear(Stream, thread, off, all, class); err != nil {
		return err
	}
	return m.recordFence(thread)
}

func (m *Medium) recordStorePersist8(off int64, v uint64, class Class) error {
	if err := m.recordStore8(off, v, class); err != nil {
		return err
	}
	return m.recordPersist([]Extent{{off, Word}}, false)
}

func (m *Medium) recordFlush(thread int, off, n int64) error {
	return fail("flush", off, n, m.recorder.Event(Event{Action: Flush, Thread: thread, Off: off, Len: n}))
}

func (m *Medium) recordFence(thread int) error {
	return fail("fence", 0, 0, m.recorder.Event(Event{Action: Fence, Thread: thread}))
}

// recordPersist makes ranges durable; on the page cache, if whole, with the rest of the file.
func (m *Medium) recordPersist(all []Extent, whole bool) error {
	m.point()
	if m.info.Kind == PageCache {
		if whole {
			return m.recordSync(Range, 0, m.size.Load())
		}
		for _, e := range all {
			if err := m.recordSync(Range, e.Off, e.Len); err != nil {
				return err
			}
		}
		return nil
	}
	thread := m.serial()
	for _, e := range all {
		if err := m.recordFlush(thread, e.Off, e.Len); err != nil {
			return err
		}
	}
	return m.recordFence(thread)
}

// recordSync is a sync, in which other goroutines may go on.
func (m *Medium) recordSync(scope Scope, off, n int64) error {
	e := Event{Action: SyncBegin, Scope: scope, ID: m.serial(), Off: off, Len: n}
	if err := m.recorder.Event(e); err != nil {
		return fail("sync", off, n, err)
	}
	m.point()
	e.Action = SyncEnd
	if err := m.recorder.Event(e); err != nil {
		return fail("sync", off, n, fmt.Errorf("%w: %w", ErrSync, err))
	}
	return nil
}

func (m *Medium) recordSyncFile() error {
	m.point()
	if m.info.Kind == PageCache {
		return m.recordSync(File, 0, m.size.Load())
	}
	return m.recordSync(File, 0, 0)
}

func (m *Medium) recordExtend(size int64) error {
	m.point()
	if size > int64(len(m.alias)) {
		return fail("extend", m.size.Load(), size-m.size.Load(), syscall.ENOSPC)
	}
	if err := m.recorder.Event(Event{Action: Extend, Off: m.size.Load(), Len: size}); err != nil {
		return fail("extend", m.size.Load(), size-m.size.Load(), err)
	}
	clear(m.alias[m.size.Load():size])
	m.size.Store(size)
	return nil
}

func (m *Medium) recordLink() error {
	m.point()
	return fail("link", 0, 0, m.recorder.Event(Event{Action: Link}))
}

func (m *Medium) recordSyncDirectory() error {
	m.point()
	return m.recordSync(Directory, 0, 0)
}

// recordRead hears of a read. Reads are no points at which others go on where nothing is
// written beside them: they are where the recorder is a scheduler.
func (m *Medium) recordRead(op string, off, n int64) error {
	m.point()
	if err := m.recorder.Read(off, n); err != nil {
		return fail(op, off, n, fmt.Errorf("%w: %w", ErrFault, err))
	}
	return nil
}
