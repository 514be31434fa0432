package crash

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/safevma/safevma/pmem/crash/state"
)

// Class says what a store is for.
type Class uint8

// Medium is the memory that a structure lives on. All its stores, flushes, fences, syncs and
// reads go through it.
type Medium struct {
	m      *memory
	model  state.Model
	thread int
}

func newMedium(m *memory, model state.Model) Medium { return Medium{m, model, 0} }

func (d Medium) t() int {
	if d.thread != 0 {
		return d.thread
	}
	return d.m.anonymous()
}

// Pin returns a handle whose calls count as made by one thread.
func (d Medium) Pin() Medium { d.thread = d.m.anonymous(); return d }

// Store stores bytes, in the order of their words.
func (d Medium) Store(off int64, data []byte, class Class) error {
	return d.m.do(Event{Event: state.Event{Kind: state.Store, Thread: d.t(), Off: off, Data: data}, Class: uint8(class)})
}

// Store8 stores a word.
func (d Medium) Store8(off int64, v uint64, class Class) error {
	return d.Store(off, binary.LittleEndian.AppendUint64(nil, v), class)
}

// Stream stores bytes by non-temporal stores.
func (d Medium) Stream(off int64, data []byte, class Class) error {
	return d.m.do(Event{Event: state.Event{Kind: state.Stream, Thread: d.t(), Off: off, Data: data}, Class: uint8(class)})
}

// Flush starts the write-back of the lines of a range.
func (d Medium) Flush(off, n int64) error {
	return d.m.do(Event{Event: state.Event{Kind: state.Flush, Thread: d.t(), Off: off, Len: n}})
}

// Fence waits for what the thread flushed and streamed.
func (d Medium) Fence() error {
	return d.m.do(Event{Event: state.Event{Kind: state.Fence, Thread: d.t()}})
}

// Persist makes a range durable on any medium.
func (d Medium) Persist(off, n int64) error {
	d.thread = d.t()
	if d.model.Domain == state.PageCache {
		if err := d.m.do(Event{Event: state.Event{Kind: state.SyncBegin, Thread: d.thread, Off: off, Len: n, ID: d.thread}}); err != nil {
			return err
		}
		return d.m.do(Event{Event: state.Event{Kind: state.SyncEnd, Thread: d.thread, ID: d.thread}})
	}
	if err := d.Flush(off, n); err != nil {
		return err
	}
	return d.Fence()
}

// Read copies bytes out.
func (d Medium) Read(off int64, buf []byte) error {
	b, err := d.m.look(off, int64(len(buf)))
	copy(buf, b)
	return err
}

// Load8 reads a word.
func (d Medium) Load8(off int64) (uint64, error) {
	b, err := d.m.look(off, 8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

var errPoison = errors.New("poisoned")

func poisoned(off, n int64) error { return fmt.Errorf("%d bytes at %d: %w", n, off, errPoison) }
