package fsck

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/safevma/safevma/pmem"
)

// source is where a reference is.
type source struct {
	off    int64  // of the reference
	what   string // "root", "field", or nothing that has a name
	name   string
	object pmem.Address
}

// mostStack is how many objects wait for their references to be followed. When there are more, they
// are found again by what is reached and not done.
var mostStack = 1 << 18

// reach follows all references from the roots on.
func (c *checker) reach() error {
	c.roots()
	for {
		if err := c.drain(); err != nil {
			return err
		}
		if !c.full {
			return nil
		}
		c.full = false
		if err := c.spans.each(c.again); err != nil {
			return err
		}
	}
}

// again takes the objects of a span that did not fit on the stack.
func (c *checker) again(i int64, s *spanState) error {
	for j, w := range s.reached {
		for w &^= s.done[j]; w != 0; w &= w - 1 {
			slot := int64(j)*64 + int64(bits.TrailingZeros64(w))
			c.push(s.Off + slot*s.slotSize(c.r.SpanSize()))
		}
	}
	return nil
}

func (c *checker) push(off int64) {
	if len(c.stack) >= mostStack {
		c.full = true
		return
	}
	c.stack = append(c.stack, off)
}

func (c *checker) drain() error {
	for n := 0; len(c.stack) > 0; n++ {
		if n%(1<<12) == 0 {
			if err := c.ctx.Err(); err != nil {
				return err
			}
		}
		off := c.stack[len(c.stack)-1]
		c.stack = c.stack[:len(c.stack)-1]
		c.refs(off)
	}
	return nil
}

// refs follows the references of an object.
func (c *checker) refs(off int64) {
	s, slot, ok := c.locate(off)
	if !ok || has(s.done, slot) {
		return
	}
	set(s.done, slot)
	o, err := c.header(s, slot)
	if err != nil || !o.Live || o.Err != nil {
		return
	}
	t := c.types[o.Type]
	if t == nil || !t.known || t.Size != o.Size {
		return
	}
	content, bad, err := c.content(&o)
	if err != nil {
		return // it was said
	}
	for _, f := range t.refs {
		want, known := c.names[f.Type]
		f.Each(content, func(at int64, a pmem.Address) {
			if slices.Contains(bad, at/pmem.BlockSize) || a.IsNil() {
				return
			}
			from := source{o.BlockOffset(0) + at, "field", f.Path, o.Address}
			if known || c.partial {
				c.follow(from, a, want)
				return
			}
			c.dangles(from, a, fmt.Sprintf("of type %q, which the pool does not know", f.Type))
		})
	}
}

func (s source) String() string {
	if s.name == "" {
		return s.what
	}
	return fmt.Sprintf("%s %q", s.what, s.name)
}

// locate finds the slot that begins at an offset of the heap.
func (c *checker) locate(off int64) (s *spanState, slot int64, ok bool) {
	i, ok := c.r.SpanAt(off)
	if !ok {
		return nil, 0, false
	}
	if s = c.spans.get(i); s == nil || s.damaged {
		return s, 0, false
	}
	size := s.slotSize(c.r.SpanSize())
	slot = (off - s.Off) / size
	return s, slot, (off-s.Off)%size == 0 && slot < max(s.Slots, 1)
}

func (c *checker) header(s *spanState, slot int64) (pmem.Object, error) {
	if s.Kind == pmem.SpanBig {
		return c.r.Big(&s.Span)
	}
	return c.r.Slot(&s.Span, slot)
}

// follow checks a reference, and takes what it is to. Want is the type that it should have; 0 is any.
func (c *checker) follow(from source, a pmem.Address, want uint32) {
	if a.IsNil() {
		return
	}
	s, slot, ok := c.locate(a.Off)
	switch {
	case s != nil && s.damaged, ok && has(s.broken, slot):
		return // it was said
	case !ok:
		c.dangles(from, a, "where no object can begin")
		return
	case !has(s.live, slot):
		c.dangles(from, a, "which is free")
		return
	}
	o, err := c.header(s, slot)
	switch {
	case err != nil || o.Err != nil:
		return // it was said
	case o.Incarnation != a.Incarnation:
		c.dangles(from, a, fmt.Sprintf("which was freed: incarnation %d is there now", o.Incarnation))
		return
	case want != 0 && o.Type != want:
		c.dangles(from, a, fmt.Sprintf("which should be of type %d, and is of type %d", want, o.Type))
	}
	if has(s.reached, slot) {
		return
	}
	set(s.reached, slot)
	if t := c.types[o.Type]; t == nil || len(t.refs) == 0 {
		set(s.done, slot)
		return
	}
	c.push(a.Off)
}

func (c *checker) dangles(from source, a pmem.Address, why string) {
	p := place{off: from.off, span: -1, object: from.object}
	c.say(Error, Dangling, p, "%s refers to %s, %s", from, a, why)
}

// leaks reports objects that no root reaches.
func (c *checker) leaks() {
	_ = c.spans.each(func(i int64, s *spanState) error {
		for j, w := range s.live {
			for w &^= s.reached[j]; w != 0; w &= w - 1 {
				c.leak(s, int64(j)*64+int64(bits.TrailingZeros64(w)))
			}
		}
		return nil
	})
}

func (c *checker) leak(s *spanState, slot int64) {
	if c.hidden {
		c.report.Unjudged++
		return
	}
	o, err := c.header(s, slot)
	if err != nil {
		return
	}
	name := fmt.Sprintf("of type %d", o.Type)
	if t := c.types[o.Type]; t != nil && t.known {
		name += fmt.Sprintf(" (%q)", t.name)
	}
	c.say(Error, Leak, place{off: o.Off, span: s.Index, object: o.Address}, "no root reaches the object %s, of %d bytes", name, o.Size)
}
