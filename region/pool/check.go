package pool

import (
	"errors"

	"github.com/safevma/safevma/region"
)

// Check looks at every byte that is not handed out and returns what was written there, joined
// (errors.Is region.ErrCorrupt; each a [CorruptError], one for each slot that was written in or
// behind). It runs beside all other methods and changes nothing. A page that becomes free, or is
// taken, at that moment may be passed over.
func (p *Pool) Check() error {
	p.inspecting.RLock()
	defer p.inspecting.RUnlock()
	if p.closed.Load() {
		return failed("check", region.ErrClosed)
	}
	return p.inspect()
}

func (p *Pool) inspect() error {
	var all []error
	for _, a := range *p.arenas.Load() {
		for i := range a.pages {
			if err := a.pages[i].check(func(e *CorruptError) { all = append(all, e) }); err != nil {
				return errors.Join(append(all, err)...)
			}
		}
	}
	return errors.Join(all...)
}

// check reports what was written in one page. Slots don't become free, or busy by Alloc, while the
// lock is held; one may become busy by Free, and what is seen then does not count.
func (pg *page) check(report func(*CorruptError)) error {
	c := pg.lock()
	if c == nil {
		return pg.checkSpare(report)
	}
	defer c.mu.Unlock()
	return pg.read(func(b []byte) error {
		first, last := &pg.slots[0], &pg.slots[len(pg.slots)-1]
		pg.expect(b[:first.off], 0, "before the first slot of a page", report)
		for i := range pg.slots {
			pg.slots[i].check(b, report)
		}
		end := int(last.off) + int(last.room) + word
		pg.expect(b[end:], end, "behind the last slot of a page", report)
		return nil
	})
}

// expect reports bytes at an offset of the page that are not the pattern.
func (pg *page) expect(b []byte, off int, what string, report func(*CorruptError)) {
	if i := pg.pool.pattern.differs(b, pg.off+off); i >= 0 {
		report(&CorruptError{Arena: pg.arena.number, Offset: pg.off + off + i, What: what})
	}
}

// check looks at a slot and the pattern behind it.
func (s *slot) check(b []byte, report func(*CorruptError)) {
	state := s.state.Load()
	begin, what := int(s.off), "in a free slot"
	var o *Owner
	switch state & kindMask {
	case busy:
		return
	case withdrawn: // who wrote there may do so again, but what is behind is the next one's, too
		begin, what = begin+int(s.room), "behind a slot that was withdrawn"
	case live:
		begin, what, o = begin+int(s.size.Load()), "behind a secret", s.owner.Load()
	}
	i := s.page.pool.pattern.differs(b[begin:int(s.off)+int(s.room)+word], s.page.off+begin)
	if i >= 0 && s.state.Load()&^userMask == state&^userMask {
		report(s.corrupt(what, begin+i, o))
	}
}

func (pg *page) checkSpare(report func(*CorruptError)) error {
	pg.pool.mu.Lock()
	defer pg.pool.mu.Unlock()
	if pg.class.Load() != noClass {
		return nil
	}
	return pg.read(func(b []byte) error {
		pg.expect(b, 0, "in a free page", report)
		return nil
	})
}
