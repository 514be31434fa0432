package medium

import (
	"encoding/binary"
	"runtime/debug"
	"sync/atomic"
	"unsafe"
)

// Read copies bytes out of the medium. A line that can't be read is an [ErrFault].
func (m *Medium) Read(off int64, p []byte) error {
	if err := m.readable("read", off, int64(len(p))); err != nil {
		return err
	}
	if m.way == recorded {
		copy(p, m.view[off:])
		return nil
	}
	return m.copyOut(off, p)
}

// Load8 reads a word, little-endian, whole. The offset is a multiple of 8.
func (m *Medium) Load8(off int64) (uint64, error) {
	if off%Word != 0 {
		return 0, fail("load", off, Word, ErrAlign)
	}
	if err := m.readable("load", off, Word); err != nil {
		return 0, err
	}
	if m.way == recorded {
		return binary.LittleEndian.Uint64(m.view[off:]), nil
	}
	return m.loadOut(off)
}

// View lends bytes of the read-only mapping, without a copy. They change as the medium does. A
// store to them faults, and so does a line that can't be read: look at them inside [Guard].
// For a [Recorder] all of them are read.
func (m *Medium) View(off, n int64) ([]byte, error) {
	if err := m.readable("view", off, n); err != nil {
		return nil, err
	}
	return m.view[off : off+n : off+n], nil
}

func (m *Medium) readable(op string, off, n int64) error {
	switch {
	case m.way == closed:
		return fail(op, off, n, ErrClosed)
	case !m.within(off, n):
		return fail(op, off, n, ErrRange)
	case m.way == recorded:
		return m.recordRead(op, off, n)
	}
	return nil
}

func (m *Medium) copyOut(off int64, p []byte) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer m.caught("read", off, int64(len(p)), &err)
	copy(p, m.view[off:])
	return nil
}

func (m *Medium) loadOut(off int64) (v uint64, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer m.caught("load", off, Word, &err)
	return atomic.LoadUint64((*uint64)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(m.view)), off))), nil
}

// Prefetch asks for the lines of a range, to be written soon. It is a hint.
func (m *Medium) Prefetch(off, n int64) {
	if m.way <= pageCache && n > 0 && m.within(off, n) {
		m.prefetch(off, n)
	}
}

// offsetOf returns the offset in the medium of an address in one of its mappings.
func (m *Medium) offsetOf(addr uintptr) (int64, bool) {
	for _, mapping := range [][]byte{m.view, m.alias} {
		start := uintptr(unsafe.Pointer(unsafe.SliceData(mapping)))
		if start != 0 && addr >= start && addr-start < uintptr(len(mapping)) {
			return int64(addr - start), true
		}
	}
	return 0, false
}
