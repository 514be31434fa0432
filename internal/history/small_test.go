package history

import (
	"math/rand/v2"
	"slices"
)

// small makes a history of up to six transactions: done one after the other, each on a
// snapshot, or without isolation, and then maybe spoilt.
func small(seed uint64) History {
	m := maker{Rand: rand.New(rand.NewPCG(seed, 5)), state: map[uint64][]uint64{}, lists: seed%2 == 0}
	h := make(History, 2+m.IntN(5))
	m.outcomes(h)
	m.undo = m.IntN(2) == 0
	switch m.IntN(3) {
	case 0:
		m.serial(h)
	case 1:
		m.snapshots(h)
	default:
		m.interleaved(h)
	}
	for m.IntN(3) == 0 {
		m.spoil(h)
	}
	return h
}

type maker struct {
	*rand.Rand
	state  map[uint64][]uint64
	lists  bool
	undo   bool // aborted ones leave nothing
	values uint64
}

func (m *maker) outcomes(h History) {
	for t := range h {
		switch m.IntN(8) {
		case 0:
			h[t].Outcome = Aborted
		case 1:
			h[t].Outcome = Unknown
		}
	}
}

// serial runs one after the other, at times that fit, or at those of others.
func (m *maker) serial(h History) {
	for t := range h {
		before := map[uint64][]uint64{}
		for k, list := range m.state {
			before[k] = slices.Clone(list)
		}
		for range 1 + m.IntN(4) {
			m.step(&h[t])
		}
		if h[t].Outcome == Aborted && m.undo || h[t].Outcome == Unknown && m.IntN(2) == 0 {
			m.state = before
		}
		h[t].Begin = int64(10*t - m.IntN(30))
		h[t].End = int64(10*t + m.IntN(30))
	}
	if m.IntN(2) == 0 {
		a, b := &h[m.IntN(len(h))], &h[m.IntN(len(h))]
		a.Begin, a.End, b.Begin, b.End = b.Begin, b.End, a.Begin, a.End
	}
}

// snapshots runs each on the state at its begin; what it wrote is there at its end.
func (m *maker) snapshots(h History) {
	var running []int
	for moment, t := int64(0), 0; t < len(h) || len(running) > 0; moment++ {
		if t < len(h) && m.IntN(2) == 0 {
			h[t].Begin = moment
			m.onSnapshot(&h[t])
			running = append(running, t)
			t++
		} else if len(running) > 0 {
			i := m.IntN(len(running))
			m.publish(&h[running[i]], moment)
			running = slices.Delete(running, i, i+1)
		}
	}
}

func (m *maker) onSnapshot(t *Transaction) {
	state := m.state
	m.state = map[uint64][]uint64{}
	for k, list := range state {
		m.state[k] = list // steps copy
	}
	for range 1 + m.IntN(4) {
		m.step(t)
	}
	m.state = state
}

func (m *maker) publish(t *Transaction, moment int64) {
	t.End = moment
	for _, op := range t.Ops {
		if t.Outcome == Committed && (op.Kind == Write || op.Kind == Append) {
			list := slices.Clone(m.state[op.Key])
			at := len(list)
			switch m.IntN(16) {
			case 0: // it is lost
				continue
			case 1: // it comes to a wrong place
				at = m.IntN(at + 1)
			}
			m.state[op.Key] = slices.Insert(list, at, op.Value)
		}
	}
}

// interleaved runs all at once, in place.
func (m *maker) interleaved(h History) {
	for i := range 3 * len(h) {
		t := &h[m.IntN(len(h))]
		if len(t.Ops) == 0 {
			t.Begin = int64(i - m.IntN(2))
		}
		if len(t.Ops) < 6 {
			m.step(t)
			t.End = int64(i + m.IntN(2))
		}
	}
}

// step reads a key, and maybe writes it.
func (m *maker) step(t *Transaction) {
	key := uint64(m.IntN(3))
	list := m.state[key]
	write := m.IntN(2) == 0
	if !m.lists {
		t.Ops = append(t.Ops, Op{Kind: Read, Key: key, Value: last(list)})
	} else if !write || m.IntN(2) == 0 {
		t.Ops = append(t.Ops, Op{Kind: ReadList, Key: key, List: slices.Clone(list)})
	}
	if !write {
		return
	}
	m.values++
	kind := Write
	if m.lists {
		kind = Append
	}
	t.Ops = append(t.Ops, Op{Kind: kind, Key: key, Value: m.values})
	m.state[key] = append(slices.Clone(list), m.values)
}

// spoil changes one read, or when one transaction ran.
func (m *maker) spoil(h History) {
	t := &h[m.IntN(len(h))]
	if m.IntN(2) == 0 || len(t.Ops) == 0 {
		by := int64(m.IntN(40) - 20)
		t.Begin, t.End = t.Begin+by, t.End+by
		return
	}
	switch op := &t.Ops[m.IntN(len(t.Ops))]; op.Kind {
	case Read:
		if list := m.state[op.Key]; len(list) > 0 {
			op.Value = list[m.IntN(len(list))]
		}
	case ReadList:
		m.spoilList(op)
	}
}

func (m *maker) spoilList(op *Op) {
	switch n := len(op.List); m.IntN(5) {
	case 0:
		op.List = slices.Clone(m.state[op.Key])
	case 1:
		op.List = append(op.List, uint64(m.IntN(int(m.values)+3))) // maybe one of another key, or of none
	case 2:
		if n > 1 {
			i, j := m.IntN(n), m.IntN(n)
			op.List[i], op.List[j] = op.List[j], op.List[i]
		}
	default:
		op.List = op.List[:m.IntN(n+1)]
	}
}
