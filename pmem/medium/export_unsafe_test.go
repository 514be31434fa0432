package medium

import (
	"unsafe"

	"github.com/safevma/safevma/pmem/medium/internal/line"
)

// Bare is the instruction routines without the medium around them.
type Bare struct{ m *Medium }

// Bare returns them for the memory of a medium.
func (m *Medium) Bare() Bare { return Bare{m} }

//go:noinline
func (d Bare) Store8(off int64, v uint64) { line.Store(d.m.at(off), v) }

// StoreLines stores a word in each line of a range.
func (d Bare) StoreLines(off int64, lines int, v uint64) {
	p := d.m.at(off)
	for l := range lines {
		line.Store(unsafe.Add(p, l*line.Size), v)
	}
}

func (d Bare) Copy(off int64, data []byte) {
	line.Copy(d.m.at(off), unsafe.Pointer(unsafe.SliceData(data)), uintptr(len(data)))
}

func (d Bare) GoCopy(off int64, data []byte) { copy(d.m.alias[off:], data) }

func (d Bare) StreamFence(off int64, data []byte) {
	line.StreamFence(d.m.at(off), unsafe.Pointer(unsafe.SliceData(data)), uintptr(len(data)))
}

func (d Bare) FlushFence(off, n int64) { line.FlushFence(d.m.at(off), uintptr(n)) }
