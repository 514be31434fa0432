package medium

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"

	"github.com/safevma/safevma/pmem/medium/internal/line"
)

// at is the writable address of an offset that is within.
func (m *Medium) at(off int64) unsafe.Pointer {
	return unsafe.Add(unsafe.Pointer(unsafe.SliceData(m.alias)), off)
}

// Store8 stores a word, little-endian, by one aligned move: it is seen whole, and survives
// whole or not at all. It is visible at once, and durable when its range is persisted. The
// offset is a multiple of 8.
//
// It is not inlined, so that the compiler can't merge it with what stands beside it or leave
// it out: what a failure finds depends on it. A test holds its machine code against that.
//
//go:noinline
func (m *Medium) Store8(off int64, v uint64, class Class) error {
	if m.way > pageCache || off%Word != 0 || uint64(off) >= uint64(m.size.Load()) {
		return m.store8(off, v, class)
	}
	line.Store(m.at(off), v)
	return nil
}

// store8 is Store8 away from the plain case.
func (m *Medium) store8(off int64, v uint64, class Class) error {
	if err := m.aligned("store", off, Word); err != nil {
		return err
	}
	return m.recordStore8(off, v, class)
}

// Store stores bytes: whole words, and naturally aligned parts of words at the ends, in
// ascending order. It is visible at once, though not to others as a whole, and durable when
// its range is persisted.
func (m *Medium) Store(off int64, data []byte, class Class) error {
	n := int64(len(data))
	if raceEnabled || m.way > pageCache || n > line.Most || !m.within(off, n) {
		return m.store(off, data, class)
	}
	line.Copy(m.at(off), unsafe.Pointer(unsafe.SliceData(data)), uintptr(n))
	return nil
}

// store is Store away from the plain case.
func (m *Medium) store(off int64, data []byte, class Class) error {
	if err := m.ready("store", off, int64(len(data))); err != nil {
		return err
	}
	if m.way == recorded {
		return m.recordStore(off, data, class)
	}
	m.put(off, data)
	return nil
}

// CompareAndSwap8 stores a word if it holds old, and reports whether it did. The offset is a
// multiple of 8. It is atomic towards other goroutines; like Store8 it is not durable.
func (m *Medium) CompareAndSwap8(off int64, old, v uint64, class Class) (bool, error) {
	if err := m.aligned("compare and swap", off, Word); err != nil {
		return false, err
	}
	if m.way != recorded {
		return atomic.CompareAndSwapUint64((*uint64)(m.at(off)), old, v), nil
	}
	if err := m.recordRead("compare and swap", off, Word); err != nil {
		return false, err
	}
	if binary.LittleEndian.Uint64(m.alias[off:]) != old {
		return false, nil
	}
	return true, m.hearWord(off, v, class)
}
