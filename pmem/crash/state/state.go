package state

import (
	"cmp"
	"fmt"
	"maps"
	"math/big"
	"slices"
)

// State is what may be durable after the events applied so far. It serves one goroutine.
type State struct {
	model Model
	base  []byte // what is durable
	now   []byte // what reads see
	// units by number, and words by number. A unit has either its own queue or queues of
	// its words that hold something.
	units map[int64]*queue
	words map[int64]*queue
	inUse map[int64]int // unit: how many of its words hold something
	open  []*queue      // may hold something; the rest is left out lazily
	// marks are what a thread's next fence makes durable: how far in each queue.
	marks map[int]map[*queue]uint64
	syncs map[int][]covered
	// settled, in an overlay, is what became durable over the unknown.
	settled map[int64]*Cell
}

// covered is how far into a queue a sync reaches.
type covered struct {
	q    *queue
	upTo uint64
}

// New returns the state of a medium whose content is durable. The image is taken over.
func New(model Model, image []byte) (*State, error) {
	if err := model.Validate(); err != nil {
		return nil, err
	}
	if len(image)%model.Unit != 0 {
		return nil, fmt.Errorf("%w: an image of %d bytes is no multiple of its unit of %d", ErrModel, len(image), model.Unit)
	}
	return &State{
		model: model, base: image, now: slices.Clone(image),
		units: map[int64]*queue{}, words: map[int64]*queue{}, inUse: map[int64]int{},
		marks: map[int]map[*queue]uint64{}, syncs: map[int][]covered{},
	}, nil
}

// NewOverlay returns the state of a medium that is known in part alone: recovery runs on
// one image, and stands for all that differ from it where it did not look. Its cells write
// some bytes and show what is below in others; what became durable comes as cells of one
// version, see [State.Settled]. The image is taken over.
func NewOverlay(model Model, image []byte) (*State, error) {
	s, err := New(model, nil)
	if err == nil {
		s.base, s.now, s.settled = image, image, map[int64]*Cell{}
	}
	return s, err
}

// Settled returns what became durable in an overlay.
func (s *State) Settled() []*Cell {
	cells := slices.Collect(maps.Values(s.settled))
	slices.SortFunc(cells, func(a, b *Cell) int { return cmp.Compare(a.Off, b.Off) })
	return cells
}

// note takes down bytes that became durable in an overlay.
func (s *State) note(off int64, n int) {
	if s.settled == nil {
		return
	}
	for end := off + int64(n); off < end; off++ {
		unit := off / int64(s.model.Unit) * int64(s.model.Unit)
		c := s.settled[unit]
		if c == nil {
			c = &Cell{Off: unit, Len: s.model.Unit, Versions: []Version{{Data: make([]byte, s.model.Unit), Mask: make([]byte, s.model.Unit)}}}
			s.settled[unit] = c
		}
		c.Versions[0].Data[off-unit], c.Versions[0].Mask[off-unit] = s.base[off], 1
	}
}

// Model returns the model.
func (s *State) Model() Model { return s.model }

// Base returns what is durable, and stays so until it is overwritten. It is the state's
// own: whoever changes it puts it back.
func (s *State) Base() []byte { return s.base }

// Now returns what reads see. It is the state's own.
func (s *State) Now() []byte { return s.now }

// Apply takes one event. Where the program's own order decides (a killed process, eADR),
// point is called before each word that is stored: those are moments of their own.
func (s *State) Apply(e Event, point func() error) error {
	if e.Off < 0 || e.Len < 0 || e.Off+max(e.Len, int64(len(e.Data))) > int64(len(s.now)) {
		return fmt.Errorf("event %d: %d bytes at %d: %w", e.Index, max(e.Len, int64(len(e.Data))), e.Off, ErrRange)
	}
	switch e.Kind {
	case Store, Stream, Attribute:
		return atoms(e, func(off int64, piece []byte) error { return s.store(e, off, piece, point) })
	case Flush:
		s.flush(e)
	case Fence:
		s.fence(e.Thread)
	case SyncBegin:
		s.syncs[e.ID] = append(s.syncs[e.ID], s.covers(e.Off, e.Len)...)
	case Zero:
		s.zero(e.Off, e.Len)
	case SyncEnd:
		for _, c := range s.syncs[e.ID] {
			s.drain(c.q, c.upTo)
		}
		delete(s.syncs, e.ID)
	case SyncFail:
		for _, c := range s.syncs[e.ID] {
			c.q.lose(c.upTo)
		}
		delete(s.syncs, e.ID)
	}
	return nil
}

func (s *State) store(e Event, off int64, piece []byte, point func() error) error {
	stream := e.Kind == Stream && s.model.Domain != PageCache
	if e.Kind == Store && s.mixed(off, stream) {
		s.bury(off)
	}
	if e.Kind != Attribute && s.mixed(off, stream) {
		return fmt.Errorf("event %d at %d: %w", e.Index, off, ErrMixed)
	}
	ordered := s.model.Domain == Kill || s.model.Domain == EADR && e.Kind == Store
	if ordered && point != nil {
		if err := point(); err != nil {
			return err
		}
	}
	copy(s.now[off:], piece)
	if ordered {
		copy(s.base[off:], piece)
		s.note(off, len(piece))
		return nil
	}
	q := s.queueOf(off, stream || s.model.Torn || e.Kind == Attribute)
	q.attribute = e.Kind == Attribute
	if q.empty() && q.word {
		s.inUse[off/int64(s.model.Unit)]++
	}
	q.push(off, piece, e.Index)
	if stream {
		s.mark(e.Thread, q)
	}
	s.list(q)
	return nil
}

// zero drops what waits in a range, and makes it zeros.
func (s *State) zero(off, n int64) {
	for _, q := range s.queues() {
		if q.off >= off && q.off < off+n {
			had := !q.empty()
			q.drained = q.end()
			q.pending, q.lost, q.cell = nil, nil, nil
			s.left(q, had)
		}
	}
	clear(s.base[off : off+n])
	clear(s.now[off : off+n])
	s.note(off, int(n))
}

// mixed reports a store of one kind to a unit where stores of the other kind wait.
func (s *State) mixed(off int64, stream bool) bool {
	if s.model.Domain != ADR && s.model.Domain != EADR {
		return false
	}
	unit := off / int64(s.model.Unit)
	if !stream {
		return s.inUse[unit] > 0
	}
	q := s.units[unit]
	return q != nil && !q.empty()
}

func (s *State) queueOf(off int64, word bool) *queue {
	table, size := s.units, int64(s.model.Unit)
	if word {
		table, size = s.words, Word
	}
	q := table[off/size]
	if q == nil {
		q = &queue{off: off / size * size, word: word}
		table[off/size] = q
	}
	return q
}

func (s *State) list(q *queue) {
	if !q.listed {
		q.listed = true
		s.open = append(s.open, q)
	}
}

func (s *State) mark(thread int, q *queue) {
	m := s.marks[thread]
	if m == nil {
		m = map[*queue]uint64{}
		s.marks[thread] = m
	}
	m[q] = q.end()
}

// flush marks what the units hold now. Words wait for a fence by themselves.
func (s *State) flush(e Event) {
	if s.model.Domain != ADR || e.Len == 0 {
		return
	}
	unit := int64(s.model.Unit)
	for u := e.Off / unit; u <= (e.Off+e.Len-1)/unit; u++ {
		if q := s.units[u]; q != nil && len(q.pending) > 0 {
			s.mark(e.Thread, q)
		}
	}
}

func (s *State) fence(thread int) {
	if s.model.Domain == PageCache {
		return
	}
	for q, upTo := range s.marks[thread] {
		s.drain(q, upTo)
	}
	delete(s.marks, thread)
}

func (s *State) drain(q *queue, upTo uint64) {
	had := !q.empty()
	for _, a := range q.drain(upTo, s.base) {
		s.note(q.off+int64(a.at), int(a.n))
	}
	s.left(q, had)
}

// left keeps count of the words of a unit that hold something.
func (s *State) left(q *queue, had bool) {
	if q.word && had && q.empty() {
		s.inUse[q.off/int64(s.model.Unit)]--
	}
}

// covers lists what the units of a range hold now. Attributes only look as if they shared a
// unit: each is covered by itself.
func (s *State) covers(off, n int64) []covered {
	var all []covered
	unit := int64(s.model.Unit)
	first, last := off/unit*unit, (off+n+unit-1)/unit*unit
	for _, q := range s.open {
		from, to := first, last
		if q.attribute {
			from, to = off, off+n
		}
		if q.off >= from && q.off < to && len(q.pending) > 0 {
			all = append(all, covered{q, q.end()})
		}
	}
	return all
}

// queues are those that hold something, by offset.
func (s *State) queues() []*queue {
	kept := s.open[:0]
	for _, q := range s.open {
		if q.empty() {
			q.listed = false
		} else {
			kept = append(kept, q)
		}
	}
	clear(s.open[len(kept):])
	s.open = kept
	slices.SortFunc(s.open, func(a, b *queue) int { return cmp.Compare(a.off, b.off) })
	return s.open
}

// Cells returns the parts that may differ from the base, by offset; they don't overlap.
// Those whose versions are all equal are left out. A cell that did not change since the
// last call is the same pointer, unless the bytes beside its stores changed.
func (s *State) Cells() []*Cell {
	var cells []*Cell
	for _, q := range s.queues() {
		if q.cell == nil {
			q.cell = q.makeCell(s.base, s.settled != nil)
		}
		if len(q.cell.Versions) > 1 {
			cells = append(cells, q.cell)
		}
	}
	return cells
}

// States returns how many states the model allows now: the product over the queues of
// their lengths plus one. States with equal bytes are counted each.
func (s *State) States() *big.Int {
	n := big.NewInt(1)
	for _, q := range s.queues() {
		n.Mul(n, big.NewInt(q.states()))
	}
	return n
}

// Images returns how many distinct images those are.
func (s *State) Images() *big.Int { return Product(s.Cells()) }

// Product returns how many images the cells make.
func Product(cells []*Cell) *big.Int {
	n := big.NewInt(1)
	for _, c := range cells {
		n.Mul(n, big.NewInt(int64(len(c.Versions))))
	}
	return n
}

// Pending reports whether flush would start the write-back of something in the range,
// and whether all of it is already marked by the thread.
func (s *State) Pending(thread int, off, n int64) (dirty, marked bool) {
	unit := int64(s.model.Unit)
	marked = true
	for u := off / unit; n > 0 && u <= (off+n-1)/unit; u++ {
		q := s.units[u]
		if q == nil || len(q.pending) == 0 {
			continue
		}
		dirty = true
		marked = marked && s.marks[thread][q] == q.end()
	}
	return dirty, dirty && marked
}

// Awaited reports whether a fence of the thread would make something durable.
func (s *State) Awaited(thread int) bool { return len(s.marks[thread]) > 0 }

// Exit ends all threads. Nobody fences for them any more: what they streamed, flushed or stored
// stays in doubt. But it comes before all that others store later, so that an ordinary store to a
// line that they streamed to is no error: it finds there what they streamed.
func (s *State) Exit() {
	for _, marks := range s.marks {
		for q, upTo := range marks {
			if q.word {
				q.dead = upTo
			}
		}
	}
	clear(s.marks)
}

// bury makes durable what dead threads streamed to a unit.
func (s *State) bury(off int64) {
	unit := int64(s.model.Unit)
	for w := off / unit * unit / Word; w < (off/unit+1)*unit/Word; w++ {
		if q := s.words[w]; q != nil && q.dead > q.drained {
			s.drain(q, q.dead)
		}
	}
}

// Clone returns a state of its own.
func (s *State) Clone() *State {
	c := *s
	c.base, c.now = slices.Clone(s.base), slices.Clone(s.now)
	c.units, c.words, c.inUse = map[int64]*queue{}, map[int64]*queue{}, maps.Clone(s.inUse)
	twin := map[*queue]*queue{nil: nil}
	c.open = nil
	for _, q := range s.queues() {
		n := *q
		n.pending, n.lost = slices.Clone(q.pending), slices.Clone(q.lost)
		twin[q] = &n
		c.open = append(c.open, &n)
		if n.word {
			c.words[n.off/Word] = &n
		} else {
			c.units[n.off/int64(s.model.Unit)] = &n
		}
	}
	c.marks, c.syncs = map[int]map[*queue]uint64{}, map[int][]covered{}
	for thread, marks := range s.marks {
		c.marks[thread] = map[*queue]uint64{}
		for q, upTo := range marks {
			if twin[q] != nil {
				c.marks[thread][twin[q]] = upTo
			}
		}
	}
	for id, all := range s.syncs {
		for _, v := range all {
			if twin[v.q] != nil {
				c.syncs[id] = append(c.syncs[id], covered{twin[v.q], v.upTo})
			}
		}
	}
	return &c
}

// Waits reports whether a sync of the range would make something durable.
func (s *State) Waits(off, n int64) bool { return len(s.covers(off, n)) > 0 }
