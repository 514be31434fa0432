package state

// queue holds the stores to one unit that are not yet durable, oldest first. A failure
// leaves any prefix of it.
type queue struct {
	off     int64 // of the unit
	word    bool  // the unit is a word: of non-temporal stores, or of a torn unit
	drained uint64
	pending []atom
	lost    []atom // of failed syncs: any prefix of them may be durable, for ever
	cell    *Cell  // made when asked for, dropped when the queue changes
	listed  bool   // in State.open
}

// end is the number of stores so far, those that are durable included.
func (q *queue) end() uint64 { return q.drained + uint64(len(q.pending)) }

func (q *queue) push(off int64, piece []byte, event int) {
	a := atom{at: int32(off - q.off), n: uint8(len(piece)), event: int32(event)}
	copy(a.data[:], piece)
	q.pending = append(q.pending, a)
	q.cell = nil
}

// drain makes the stores up to the given number durable in base.
func (q *queue) drain(upTo uint64, base []byte) {
	if upTo <= q.drained {
		return
	}
	n := int(upTo - q.drained)
	for _, a := range q.pending[:n] {
		a.apply(base[q.off:])
		q.supersede(a)
	}
	q.pending = append([]atom(nil), q.pending[n:]...)
	q.drained, q.cell = upTo, nil
}

// lose takes stores out of the queue that a failed sync covered.
func (q *queue) lose(upTo uint64) {
	if upTo <= q.drained {
		return
	}
	n := int(upTo - q.drained)
	q.lost = append(q.lost, q.pending[:n]...)
	q.pending = append([]atom(nil), q.pending[n:]...)
	q.drained, q.cell = upTo, nil
}

// supersede forgets the lost stores that a durable one overwrote.
func (q *queue) supersede(a atom) {
	kept := q.lost[:0]
	for _, l := range q.lost {
		if l.at < a.at || l.at+int32(l.n) > a.at+int32(a.n) {
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
	Stores []int  // the events whose stores are there, oldest first
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

// makeCell builds the versions of a queue that is not empty.
func (q *queue) makeCell(base []byte) *Cell {
	lo, hi := q.span()
	c := &Cell{Off: q.off + int64(lo), Len: int(hi - lo), word: q.word}
	seen := map[string]bool{}
	under := append([]byte(nil), base[c.Off:c.Off+int64(c.Len)]...)
	for l := range len(q.lost) + 1 {
		if l > 0 {
			q.lost[l-1].applyAt(under, lo)
		}
		data := append([]byte(nil), under...)
		for p := range len(q.pending) + 1 {
			if p > 0 {
				q.pending[p-1].applyAt(data, lo)
			}
			if !seen[string(data)] {
				seen[string(data)] = true
				c.Versions = append(c.Versions, Version{append([]byte(nil), data...), events(q.lost[:l], q.pending[:p])})
			}
		}
	}
	return c
}

func (a atom) applyAt(part []byte, lo int32) { copy(part[a.at-lo:], a.data[:a.n]) }

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
