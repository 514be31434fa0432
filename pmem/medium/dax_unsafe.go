package medium

import (
	"runtime"
	"unsafe"

	"github.com/safevma/safevma/pmem/medium/internal/line"
)

// put stores bytes at an offset that is within, in ascending order.
func (m *Medium) put(off int64, data []byte) {
	if raceEnabled && m.file == nil {
		copy(m.alias[off:], data) // an ordinary store, which the race detector sees
		return
	}
	for len(data) > line.Most {
		line.Copy(m.at(off), unsafe.Pointer(unsafe.SliceData(data)), line.Most)
		off, data = off+line.Most, data[line.Most:]
	}
	line.Copy(m.at(off), unsafe.Pointer(unsafe.SliceData(data)), uintptr(len(data)))
}

func (m *Medium) prefetch(off, n int64) { line.Prefetch(m.at(off), uintptr(min(n, line.Most))) }

// flushFence makes a range durable.
func (m *Medium) flushFence(off, n int64) {
	switch {
	case m.info.EADR:
		line.Fence()
	case n <= line.Most:
		line.FlushFence(m.at(off), uintptr(n))
	default:
		m.flushAllFence([]Extent{{off, n}})
	}
}

// flushAllFence makes ranges durable with one fence.
func (m *Medium) flushAllFence(all []Extent) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, e := range all {
		m.flush(e.Off, e.Len)
	}
	line.Fence()
}

// flush starts the write-back of a range. The goroutine is locked to its thread.
func (m *Medium) flush(off, n int64) {
	if m.info.EADR {
		return
	}
	for ; n > line.Most; off, n = off+line.Most, n-line.Most {
		line.Flush(m.at(off), line.Most)
	}
	line.Flush(m.at(off), uintptr(n))
}

// streamOneFence puts data, and makes it durable.
func (m *Medium) streamOneFence(off int64, data []byte) {
	if len(data) > line.Most {
		m.streamFence(off, [][]byte{data})
		return
	}
	line.StreamFence(m.at(off), unsafe.Pointer(unsafe.SliceData(data)), uintptr(len(data)))
}

// streamFence puts parts one after the other, and makes them durable with one fence.
func (m *Medium) streamFence(off int64, parts [][]byte) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, p := range parts {
		m.stream(off, p)
		off += int64(len(p))
	}
	line.Fence()
}

// stream puts data past the caches. The goroutine is locked to its thread.
func (m *Medium) stream(off int64, data []byte) {
	for len(data) > line.Most {
		line.Stream(m.at(off), unsafe.Pointer(unsafe.SliceData(data)), line.Most)
		off, data = off+line.Most, data[line.Most:]
	}
	line.Stream(m.at(off), unsafe.Pointer(unsafe.SliceData(data)), uintptr(len(data)))
}

// store8FlushFence stores a word and makes its line durable.
func (m *Medium) store8FlushFence(off int64, v uint64) {
	if m.info.EADR {
		line.Store(m.at(off), v)
		line.Fence()
		return
	}
	line.StoreFlushFence(m.at(off), v)
}
