package state

import (
	"bytes"
	"slices"
)

// queue holds the stores to one unit that are not yet durable, oldest first. A failure
// leaves any prefix of it.
type queue struct {
	off       int64 // of the unit
	word      bool  // the unit is a word: of non-temporal stores, or of a torn unit
	attribute bool  // the word is an attribute
	drained   uint64
	dead      uint64 // up to here, threads streamed that are no more
	pending   []atom
	lost      []atom // of failed syncs: any prefix of them may be durable, for ever
	cell      *Cell  // made when asked for, dropped when the queue changes
	listed    bool   // in State.open
}

// end is the number of stores so far, those that are durable included.
func (q *queue) end() uint64 { return q.drained + uint64(len(q.pending)) }

func (q *queue) push(off int64, piece []byte, event int) {
	a := atom{at: int32(off - q.off), n: uint8(len(piece)), event: int32(event)}
	copy(a.data[:], piece)
	q.pending = append(q.pending, a)
	q.cell = nil
}

// drain makes the stores up to the given number durable in base, and returns them.
func (q *queue) drain(upTo uint64, base []byte) []atom {
	if upTo <= q.drained {
		return nil
	}
	n := int(upTo - q.drained)
	done := q.pending[:n]
	for _, a := range done {
		a.apply(base[q.off:])
		q.supersede(a)
	}
	q.pending = slices.Clone(q.pending[n:])
	q.drained, q.cell = upTo, nil
	return done
}

// lose takes stores out of the queue that a failed sync covered.
func (q *queue) lose(upTo uint64) {
	if upTo <= q.drained {
		return
	}
	n := int(upTo - q.drained)
	q.lost = append(q.lost, q.pending[:n]...)
	q.pending = slices.Clone(q.pending[n:])
	q.drained, q.cell = upTo, nil
}

// supersede forgets the lost stores that a durable one overwrote. Of those that it overwrote in
// part, it stays.
func (q *queue) supersede(a atom) {
	kept := q.lost[:0]
	for _, l := range q.lost {
		from, to := max(l.at, a.at), min(l.at+int32(l.n), a.at+int32(a.n))
		if from < to {
			copy(l.data[from-l.at:to-l.at], a.data[from-a.at:])
		}
		if from >= to || to-from < int32(l.n) {
			kept = append(kept, l)
		}
	}
	q.lost = kept
}

func (q *queue) empty() bool { return len(q.pending)+len(q.lost) == 0 }

// states is the number of states of the queue, equal ones counted each.
func (q *queue) states() int64 { return int64(len(q.pending)+1) * int64(len(q.lost)+1) }

func (a atom) apply(unit []byte) { copy(unit[a.at:], a.data[:a.n]) }

// Cell is a part of the image that a failure decides by itself.
type Cell struct {
	Off      int64     // of the first byte that may differ
	Len      int       // of the part
	Versions []Version // distinct; the first one is in the base
	word     bool
}

// Version is what a cell may hold.
type Version struct {
	Data   []byte // Len bytes
	Mask   []byte // in overlays: 1 for the bytes that are written, 0 for those that show what is below
	Stores []int  // the events whose stores are there, oldest first
}

// Put writes the part from..to of a version, offsets in the cell, over what stands in dst.
func (v Version) Put(dst []byte, from, to int) {
	if v.Mask == nil {
		copy(dst, v.Data[from:to])
		return
	}
	for i := from; i < to; i++ {
		if v.Mask[i] != 0 {
			dst[i-from] = v.Data[i]
		}
	}
}

// Same reports whether two versions of a cell leave the same in a part of it, over what is
// below that part.
func (v Version) Same(w Version, from, to int, below []byte) bool {
	if v.Mask == nil && w.Mask == nil {
		return bytes.Equal(v.Data[from:to], w.Data[from:to])
	}
	for i := from; i < to; i++ {
		if v.at(i, below[i-from]) != w.at(i, below[i-from]) {
			return false
		}
	}
	return true
}

// at is a byte of the cell, over what is below.
func (v Version) at(i int, below byte) byte {
	if v.Mask == nil || v.Mask[i] != 0 {
		return v.Data[i]
	}
	return below
}

// span is the part of the unit that the queue's stores touch.
func (q *queue) span() (lo, hi int32) {
	lo = 1 << 30
	for _, list := range [][]atom{q.lost, q.pending} {
		for _, a := range list {
			lo, hi = min(lo, a.at), max(hi, a.at+int32(a.n))
		}
	}
	return lo, hi
}

// makeCell builds the versions of a queue that is not empty. In an overlay they say which
// bytes they write, and what is below them is not looked at.
func (q *queue) makeCell(base []byte, overlay bool) *Cell {
	lo, hi := q.span()
	c := &Cell{Off: q.off + int64(lo), Len: int(hi - lo), word: q.word}
	seen := map[string]bool{}
	under := newContent(base[c.Off:c.Off+int64(c.Len)], overlay)
	for l := range len(q.lost) + 1 {
		if l > 0 {
			under.apply(q.lost[l-1], lo)
		}
		v := under.clone()
		for p := range len(q.pending) + 1 {
			if p > 0 {
				v.apply(q.pending[p-1], lo)
			}
			if key := string(v.data) + string(v.mask); !seen[key] {
				seen[key] = true
				now := v.clone()
				c.Versions = append(c.Versions, Version{Data: now.data, Mask: now.mask, Stores: events(q.lost[:l], q.pending[:p])})
			}
		}
	}
	return c
}

// content is that of a cell in the making; the mask is nil where all of it counts.
type content struct{ data, mask []byte }

func newContent(base []byte, overlay bool) content {
	if overlay {
		return content{make([]byte, len(base)), make([]byte, len(base))}
	}
	return content{slices.Clone(base), nil}
}

func (c content) clone() content { return content{slices.Clone(c.data), slices.Clone(c.mask)} }

func (c content) apply(a atom, lo int32) {
	copy(c.data[a.at-lo:], a.data[:a.n])
	if c.mask != nil {
		for i := range int32(a.n) {
			c.mask[a.at-lo+i] = 1
		}
	}
}

func events(lists ...[]atom) []int {
	var all []int
	for _, list := range lists {
		for _, a := range list {
			if n := len(all); n == 0 || all[n-1] != int(a.event) {
				all = append(all, int(a.event))
			}
		}
	}
	return all
}
