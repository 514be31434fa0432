package pmem

import "math/bits"

// editIndex finds edits by offset where there are many: a hash table of open addressing, at most half
// full, that is used again by other transactions. Its places hold the number of an edit, and 1.
type editIndex struct {
	places []uint32
	used   bool
}

// indexFrom is how many edits are looked through one by one.
const indexFrom = 8

func (x *editIndex) place(off int64) int {
	return int(uint64(off/word) * 0x9e3779b97f4a7c15 >> (64 - bits.Len(uint(len(x.places)-1))))
}

// find returns the number of the edit of an offset, or -1.
func (x *editIndex) find(edits []edit, off int64) int {
	for i := x.place(off); ; i++ {
		at := x.places[i&(len(x.places)-1)]
		if at == 0 || edits[at-1].off == off {
			return int(at) - 1
		}
	}
}

// add says that the last edit is there. None has its offset.
func (x *editIndex) add(edits []edit) {
	switch n := len(edits); {
	case n <= indexFrom:
	case !x.used || 2*n > len(x.places):
		x.build(edits)
	default:
		x.put(edits, n)
	}
}

func (x *editIndex) build(edits []edit) {
	if n := 4 << bits.Len(uint(len(edits))); n > len(x.places) {
		x.places = make([]uint32, n)
	}
	clear(x.places)
	x.used = true
	for n := range edits {
		x.put(edits, n+1)
	}
}

func (x *editIndex) put(edits []edit, n int) {
	i := x.place(edits[n-1].off)
	for x.places[i&(len(x.places)-1)] != 0 {
		i++
	}
	x.places[i&(len(x.places)-1)] = uint32(n)
}
