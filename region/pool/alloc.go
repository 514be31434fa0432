package pool

import (
	"errors"

	"github.com/safevma/safevma/region"
)

// Alloc returns a secret of n zero bytes that nobody owns: it counts for no quota.
func (p *Pool) Alloc(n int) (Secret, error) { return p.nobody.Alloc(n) }

// Alloc returns a secret of n zero bytes, from 1 to [MaxSize]. Errors: region.ErrSize, [ErrQuota],
// [ErrFull], region.ErrClosed, and region.ErrCorrupt where the free slot that it would have used was written
// to: that slot is withdrawn, nothing else is lost, and calling again takes another one.
func (o *Owner) Alloc(n int) (Secret, error) {
	if n <= 0 || n > MaxSize {
		return Secret{}, failed("alloc", region.ErrSize)
	}
	if o.pool == nil { // no pool made it
		return Secret{}, failed("alloc", region.ErrClosed)
	}
	if err := o.charge(n); err != nil {
		return Secret{}, failed("alloc", err)
	}
	s, err := o.pool.take(classOf[(n+word-1)/word])
	if err == nil {
		err = s.prepare(n)
	}
	if err != nil {
		o.refund(n)
		return Secret{}, failed("alloc", err)
	}
	s.owner.Store(o)
	s.size.Store(uint32(n))
	gen := s.state.Load()>>genShift + 1
	s.state.Store(pack(gen, live))
	return Secret{s, gen}, nil
}

// take returns a free slot of a class, as busy.
func (p *Pool) take(c uint8) (*slot, error) {
	class := &p.classes[c]
	for {
		class.mu.Lock()
		if p.closed.Load() {
			class.mu.Unlock()
			return nil, region.ErrClosed
		}
		if class.partial == nil {
			if err := p.assign(c); err != nil {
				class.mu.Unlock()
				if !errors.Is(err, ErrFull) || !p.reclaim() {
					return nil, err
				}
				continue
			}
		}
		pg := class.partial
		s := pg.take()
		if pg.freeCount == 0 {
			class.drop(pg)
		}
		class.mu.Unlock()
		return s, nil
	}
}

// assign gives a class one page more.
//
// Precondition: the lock of the class is held.
func (p *Pool) assign(c uint8) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.spare) == 0 {
		if err := p.grow(); err != nil {
			return err
		}
	}
	last := len(p.spare) - 1
	pg := p.spare[last]
	p.spare = p.spare[:last]
	pg.cut(c)
	p.classes[c].put(pg)
	return nil
}

// reclaim takes the empty pages of all classes back, and says whether there was one. A class
// keeps its last page with a free slot until then, so that taking and freeing one secret in turn
// costs no more than that.
func (p *Pool) reclaim() bool {
	found := false
	for i := range p.classes {
		c := &p.classes[i]
		c.mu.Lock()
		for pg := c.partial; pg != nil; pg = c.partial {
			// Only one page of a class can be empty: release sees to it.
			for !pg.empty() && pg.next != c.partial {
				pg = pg.next
			}
			if !pg.empty() {
				break
			}
			p.release(c, pg)
			found = true
		}
		c.mu.Unlock()
	}
	return found
}

// release takes an empty page from its class.
//
// Precondition: the lock of the class is held.
func (p *Pool) release(c *class, pg *page) {
	c.drop(pg)
	p.mu.Lock()
	pg.class.Store(noClass)
	p.spare = append(p.spare, pg)
	p.mu.Unlock()
}

// prepare makes a busy slot zero, up to n bytes. It is withdrawn if it was written while it was
// free.
func (s *slot) prepare(n int) error {
	var found int
	err := s.page.write(func(b []byte) error {
		// The 8 bytes before are the neighbour's to report: at Free, or by Check.
		begin, end := int(s.off), int(s.off)+int(s.room)
		found = s.page.pool.pattern.differs(b[begin:end], s.page.off+begin)
		if found < 0 {
			clear(b[begin : begin+n])
		}
		return nil
	})
	if err != nil {
		s.page.give(s)
		return err
	}
	if found >= 0 {
		s.withdraw()
		return s.corrupt("in a free slot", int(s.off)+found, nil)
	}
	return nil
}

// withdraw takes a slot out of use.
//
// Precondition: the slot is busy.
func (s *slot) withdraw() {
	s.page.pool.withdrawn.Add(1)
	s.state.Store(s.state.Load()&^kindMask | withdrawn)
}

// give puts a busy slot that holds the pattern alone back, unless it had all the secrets that it can
// tell apart.
func (pg *page) give(s *slot) {
	if s.state.Load()>>genShift == lastGen {
		s.withdraw()
		return
	}
	c := &pg.pool.classes[pg.class.Load()] // a page with a busy slot keeps its class
	c.mu.Lock()
	defer c.mu.Unlock()
	s.state.Store(s.state.Load() &^ kindMask) // free is 0
	pg.free[s.index/64] |= 1 << (s.index % 64)
	pg.freeCount++
	if pg.freeCount == 1 {
		c.put(pg)
	}
	if pg.empty() && pg.next != pg {
		pg.pool.release(c, pg)
	}
}

// write runs fn on the bytes of the page, in a window if the pool has them.
func (pg *page) write(fn func(b []byte) error) error {
	if pg.bytes != nil {
		return fn(pg.bytes)
	}
	return pg.arena.region.Write(func(all []byte) error { return fn(all[pg.off : pg.off+pageSize : pg.off+pageSize]) })
}

func (pg *page) read(fn func(b []byte) error) error {
	if pg.bytes != nil {
		return fn(pg.bytes)
	}
	return pg.arena.region.Read(func(all []byte) error { return fn(all[pg.off : pg.off+pageSize : pg.off+pageSize]) })
}

func (s *slot) corrupt(what string, off int, o *Owner) *CorruptError {
	e := &CorruptError{Arena: s.page.arena.number, Offset: s.page.off + off, What: what}
	if o != nil {
		e.Owner = o.name
	}
	return e
}
