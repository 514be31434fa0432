package fsck

import (
	"github.com/safevma/safevma/pmem"
)

// spanState is what is known of a span that is in use.
type spanState struct {
	pmem.Span
	damaged bool     // nothing is known but that
	live    []uint64 // slots with an object whose header is valid
	broken  []uint64 // slots in which something is wrong that was reported
	reached []uint64
	done    []uint64 // and its references were followed
}

func has(bits []uint64, i int64) bool { return bits[i/64]>>(i%64)&1 != 0 }
func set(bits []uint64, i int64)      { bits[i/64] |= 1 << (i % 64) }

// slotSize is that of its slots. A big object is in the one slot of its first span.
func (s *spanState) slotSize(span int64) int64 {
	if s.Kind == pmem.SpanBig {
		return s.Run * span
	}
	return s.SlotSize
}

// spans keeps the states of spans by the hundred, most of which are not there in a big pool.
type spans [][]*spanState

const spansTogether = 1 << 7

func newSpans(n int64) spans { return make(spans, (n+spansTogether-1)/spansTogether) }

func (all spans) get(i int64) *spanState {
	if i/spansTogether >= int64(len(all)) || all[i/spansTogether] == nil {
		return nil
	}
	return all[i/spansTogether][i%spansTogether]
}

func (all spans) put(i int64, s *spanState) {
	if all[i/spansTogether] == nil {
		all[i/spansTogether] = make([]*spanState, spansTogether)
	}
	all[i/spansTogether][i%spansTogether] = s
}

// each calls a function with each span that is in use, in order.
func (all spans) each(fn func(i int64, s *spanState) error) error {
	for i, some := range all {
		for j, s := range some {
			if s == nil {
				continue
			}
			if err := fn(int64(i)*spansTogether+int64(j), s); err != nil {
				return err
			}
		}
	}
	return nil
}

// bigRun is the spans of the big object that was met last.
type bigRun struct{ first, end int64 }

// heap checks every span and every object.
func (c *checker) heap() error {
	c.spans = newSpans(c.r.Spans())
	for i := range c.r.Spans() {
		if i%spansTogether == 0 {
			if err := c.ctx.Err(); err != nil {
				return err
			}
		}
		c.span(i)
	}
	return nil
}

func (c *checker) span(i int64) {
	s, err := c.r.Span(i)
	p := place{off: s.Entry, span: i}
	if err != nil {
		c.fail(Descriptor, p, err)
		c.spans.put(i, &spanState{Span: s, damaged: true})
		c.hidden = true
		return
	}
	if s.Reserved {
		c.say(Warning, Reserved, p, "reserved bytes of the entry of span %d are not 0", i)
	}
	if s.Stray {
		c.say(Error, Bitmap, p, "the bitmap of span %d has bits of slots that it does not have", i)
	}
	if !c.inRun(p, &s) {
		c.spans.put(i, &spanState{Span: s, damaged: true})
		c.hidden = true
		return
	}
	switch s.Kind {
	case pmem.SpanSlots:
		c.slots(&s)
	case pmem.SpanBig:
		c.big(&s)
	}
	if s.Kind > pmem.SpanTable {
		c.report.Counts.Spans++
	}
}

// inRun holds a span against the big object that goes on in it, or should. It reports whether what
// the span says of itself counts.
func (c *checker) inRun(p place, s *pmem.Span) bool {
	i := s.Index
	inside := i < c.run.end
	switch {
	case inside && s.Kind != pmem.SpanRest:
		c.say(Error, Run, p, "span %d is in the big object that begins in span %d, and its kind is %q", i, c.run.first, s.Kind)
	case inside && s.Run != i-c.run.first:
		c.say(Error, Run, p, "span %d is number %d of the big object that begins in span %d, and says %d", i, i-c.run.first, c.run.first, s.Run)
	case !inside && s.Kind == pmem.SpanRest && !c.damagedHead(i-s.Run):
		c.say(Error, Run, p, "span %d says that it is number %d of a big object, and none goes on in it", i, s.Run)
	}
	if s.Kind == pmem.SpanBig && !inside {
		c.run = bigRun{i, i + s.Run}
	}
	return !inside || s.Kind == pmem.SpanRest
}

func (c *checker) damagedHead(i int64) bool {
	if i < 0 {
		return false
	}
	s := c.spans.get(i)
	return s != nil && s.damaged
}

func newState(s *pmem.Span, slots int64) *spanState {
	n := (slots + 63) / 64
	words := make([]uint64, 4*n)
	return &spanState{Span: *s, live: words[:n:n], broken: words[n : 2*n : 2*n], reached: words[2*n : 3*n : 3*n], done: words[3*n:]}
}

func (c *checker) slots(s *pmem.Span) {
	st := newState(s, s.Slots)
	c.spans.put(s.Index, st)
	for i := range s.Slots {
		o, err := c.r.Slot(s, i)
		p := place{off: s.Off + i*s.SlotSize, span: s.Index}
		c.slot(st, p, i, s.Taken(i), &o, err)
	}
}

func (c *checker) big(s *pmem.Span) {
	st := newState(s, 1)
	c.spans.put(s.Index, st)
	o, err := c.r.Big(s)
	c.slot(st, place{off: s.Off, span: s.Index}, 0, true, &o, err)
}

// slot checks one slot, or the place of a big object.
func (c *checker) slot(st *spanState, p place, i int64, taken bool, o *pmem.Object, err error) {
	switch {
	case err != nil:
		c.fail(Header, p, err)
	case o.Err != nil:
		c.fail(Header, p, o.Err)
	case taken && !o.Live:
		c.say(Error, Bitmap, p, "slot %d of span %d is taken, and its header says that it is free", i, st.Index)
	case !taken && o.Live:
		c.say(Error, Bitmap, p, "slot %d of span %d is free, and its header says that an object is there", i, st.Index)
	case taken:
		p.object = o.Address
		if c.object(p, st.Base, o) {
			set(st.live, i)
			return
		}
	default:
		c.free(p, st.Base, o)
		return
	}
	set(st.broken, i)
	if err != nil || taken || o.Live {
		c.hidden = true
	}
}

// free checks a free slot.
func (c *checker) free(p place, base uint16, o *pmem.Object) {
	c.report.Counts.Free++
	if o.Reserved {
		c.say(Warning, Reserved, p, "reserved bytes of the header of a free slot are not 0")
	}
	if o.Incarnation < base {
		c.say(Error, Incarnation, p, "a free slot had incarnation %d, and its span begins behind %d", o.Incarnation, base)
	}
	if o.Incarnation == 1<<16-1 {
		c.report.Counts.Retired++
	}
}

// object checks an object whose header is valid, and reports whether it can be looked into.
func (c *checker) object(p place, base uint16, o *pmem.Object) bool {
	if !o.Fits {
		c.say(Error, Size, p, "the object has %d bytes, which its room of %d does not take", o.Size, o.Room)
		return false
	}
	c.report.Counts.Objects++
	c.report.Counts.Bytes += o.Size
	if o.Reserved {
		c.say(Warning, Reserved, p, "reserved bits of the header of an object are not 0")
	}
	if o.Incarnation <= base {
		c.say(Error, Incarnation, p, "the object has incarnation %d, and its span begins behind %d", o.Incarnation, base)
	}
	known := c.typeOf(p, o)
	c.blocks(p, o)
	return known
}

func (c *checker) blocks(p place, o *pmem.Object) {
	_, bad, err := c.content(o)
	if err != nil {
		c.fail(Block, p, err)
	}
	for _, i := range bad {
		p.off = o.BlockOffset(i)
		c.say(Error, Block, p, "the CRC of block %d of an object of type %d is wrong", i, o.Type)
	}
	if (err != nil || len(bad) > 0) && c.holdsRefs(o.Type) {
		c.hidden = true
	}
}

// content reads an object into memory that is used again.
func (c *checker) content(o *pmem.Object) (b []byte, bad []int64, err error) {
	c.buffer, bad, err = c.r.Content(*o, c.buffer[:0])
	return c.buffer, bad, err
}
