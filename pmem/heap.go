package pmem

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/safevma/safevma/pmem/medium"
)

// heap is the volatile side of the heap: which slots and spans are free, and not reserved by a
// transaction. It is read from the medium span by span, when one is first needed. What changes
// on the medium travels in records; a slot is taken here when it is reserved, and free again
// when the record that frees it was applied.
type heap struct {
	p     *Pool
	lock  *medium.Mutex // protects all but zones, whose spans may be read without
	zones []atomic.Pointer[zone]

	partial [len(classes)][]*span // that may have free slots
	none    []int64               // spans without a class; some may have one by now
	cursor  int64                 // spans before it were looked at
	rover   int64                 // where the search for runs of spans goes on
	loans   loans
}

// zone is the spans of one table.
type zone [mostSpan / spanEntrySize]atomic.Pointer[span]

func (h *heap) init(p *Pool) {
	h.p, h.lock = p, p.m.NewMutex()
	h.zones = make([]atomic.Pointer[zone], (p.spans+p.zoneMask)/(p.zoneMask+1))
	h.loans.open = map[*Tx]uint64{}
}

// loaded returns a span, or nil while it was not read.
func (h *heap) loaded(i int64) *span {
	z := h.zones[i/(h.p.zoneMask+1)].Load()
	if z == nil {
		return nil
	}
	return z[i&h.p.zoneMask].Load()
}

func (h *heap) store(s *span) {
	slot := &h.zones[s.index/(h.p.zoneMask+1)]
	z := slot.Load()
	if z == nil {
		z = new(zone)
		slot.Store(z)
	}
	z[s.index&h.p.zoneMask].Store(s)
}

// span returns a span that a reference points into. It takes heap.lock where it has to be read.
func (h *heap) span(i int64) (*span, error) {
	if i < 0 || i >= h.p.spans || h.p.isTable(i) {
		return nil, fmt.Errorf("%w: span %d", ErrReference, i)
	}
	if s := h.loaded(i); s != nil {
		return s, nil
	}
	h.lock.Lock()
	defer h.lock.Unlock()
	return h.load(i)
}

// load reads a span, once. It is called under heap.lock. Nothing changes its bitmap before it was
// read here, since who changes it has the span.
func (h *heap) load(i int64) (*span, error) {
	if s := h.loaded(i); s != nil {
		return s, nil
	}
	d, err := h.p.readDescriptor(h.p.m, i)
	if err != nil {
		return nil, err
	}
	s := h.p.newSpan(i, d)
	off := h.p.entryOffset(i) + spanBitmap
	if err := s.fill(func(w int64) (uint64, error) { return h.p.m.Load8(off + w*word) }); err != nil {
		return nil, err
	}
	h.store(s)
	h.list(s)
	return s, nil
}

// readDescriptor reads what the table says of a span.
func (g *geometry) readDescriptor(m interface{ Read(int64, []byte) error }, i int64) (descriptor, error) {
	b := make([]byte, descriptorSize)
	if err := m.Read(g.entryOffset(i), b); err != nil {
		return descriptor{}, err
	}
	return g.decodeDescriptor(i, b)
}

// list puts a span where it is found by those who want space.
func (h *heap) list(s *span) {
	switch {
	case s.class == classNone:
		h.none = append(h.none, s.index)
	case s.left > 0 && !s.listed:
		s.listed = true
		h.partial[s.class] = append(h.partial[s.class], s)
	}
}

// reservation is space for an object. It is the transaction's until it is given back.
type reservation struct {
	s    *span
	slot int64
	off  int64
	next uint16 // the incarnation of the object
	run  int64  // spans of a big object, or 0
}

// reserve takes space for an object. Direct is for what is written before its record: then no
// live record covers the space (R2).
func (h *heap) reserve(space int64, direct bool) (reservation, error) {
	h.lock.Lock()
	defer h.lock.Unlock()
	c := h.p.classFor(space)
	if c == 0 {
		return h.reserveRun((space + h.p.span - 1) >> h.p.spanShift)
	}
	for {
		s, err := h.withRoom(c, direct)
		if err != nil {
			return reservation{}, err
		}
		slot := s.take()
		off := h.p.spanOffset(s.index) + slot*s.slot
		last, err := h.incarnation(off)
		// One that is damaged stays reserved, and fsck says what is wrong with it; one at its last
		// incarnation is retired.
		if err == nil && last < lastIncarnation {
			return reservation{s: s, slot: slot, off: off, next: last + 1}, nil
		}
	}
}

// incarnation returns that of a free slot.
func (h *heap) incarnation(off int64) (uint16, error) {
	var b [freeHeader]byte
	if err := h.p.m.Read(off, b[:]); err != nil {
		return 0, err
	}
	return freeIncarnation(off, b[:])
}

// withRoom returns a span that has a free slot.
func (h *heap) withRoom(c uint8, direct bool) (*span, error) {
	if s := h.pick(c, direct); s != nil {
		return s, nil
	}
	s, full := h.scan(c)
	if s != nil || full != nil && !errors.Is(full, ErrFull) {
		return s, full
	}
	if direct && h.pick(c, false) != nil { // what keeps it are live records
		if err := h.p.Checkpoint(background); err != nil {
			return nil, err
		}
		if s := h.pick(c, true); s != nil {
			return s, nil
		}
	}
	for _, s := range h.empties() {
		if s, err := h.reassign(s, c); err != errSkipped && (s != nil || err != nil) {
			return s, err
		}
	}
	if full != nil {
		return nil, full
	}
	return nil, fmt.Errorf("%w: no slot of %d bytes is free", ErrFull, classes[c])
}

// pick takes from the list of spans.
func (h *heap) pick(c uint8, direct bool) *span {
	list := h.partial[c]
	for i := len(list) - 1; i >= 0; i-- {
		s := list[i]
		if s.left == 0 || s.held || h.loaded(s.index) != s {
			s.listed = false
			list[i] = list[len(list)-1]
			list = list[:len(list)-1]
			h.partial[c] = list
			continue
		}
		if !direct || s.changed <= h.p.checkpointed.Load() {
			return s
		}
	}
	return nil
}

// scan looks at spans that nobody looked at yet, and gives a class to the first that has none.
// Where the device is full, only those will do that were used before: they have their space.
func (h *heap) scan(c uint8) (found *span, full error) {
	var later []int64
	defer func() { h.none = append(h.none, later...) }()
	for {
		for len(h.none) > 0 {
			i := h.none[len(h.none)-1]
			h.none = h.none[:len(h.none)-1]
			s := h.loaded(i)
			switch {
			case s.class != classNone || s.held || s.base == lastIncarnation:
				continue
			case full != nil && !s.used:
				later = append(later, i)
				continue
			}
			next, err := h.assign(s, c)
			switch {
			case err == nil:
				return next, nil
			case err == errSkipped:
				continue
			}
			later = append(later, i)
			if !errors.Is(err, ErrFull) {
				return nil, err
			}
			full = err
		}
		s, err := h.advance(c)
		switch {
		case s != nil:
			return s, nil
		case err != nil:
			return nil, full
		}
	}
}

var errEnd = errors.New("the last span")

// advance looks at the next span, and returns it if it has a free slot of a class.
func (h *heap) advance(c uint8) (*span, error) {
	if h.cursor >= h.p.spans {
		return nil, errEnd
	}
	i := h.cursor
	h.cursor++
	if h.p.isTable(i) {
		return nil, nil
	}
	s, err := h.load(i)
	if err == nil && s.class == c && s.left > 0 {
		return s, nil
	}
	return nil, nil
}

// empties returns the spans that were read and have slots, of which nobody has one.
func (h *heap) empties() (all []*span) {
	for i := range h.p.spans {
		if s := h.loaded(i); s != nil && s.empty() {
			all = append(all, s)
		}
	}
	return all
}
