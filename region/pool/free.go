package pool

import "github.com/safevma/safevma/region"

// Free overwrites the secret and gives its slot back. [ErrFreed] reports a second Free. After
// [ErrInUse] and region.ErrClosed the secret is as before. After region.ErrCorrupt it is freed, and what
// was written around it is in order again: the error says where that was.
func (s Secret) Free() error {
	if s.slot == nil {
		return failed("free", ErrFreed)
	}
	if err := s.claim(); err != nil {
		return failed("free", err)
	}
	slot := s.slot
	pg, o, n := slot.page, slot.owner.Load(), int(slot.size.Load())
	var found *CorruptError
	err := pg.write(func(b []byte) error {
		found = slot.around(b, n, o)
		pg.pool.pattern.fill(b[int(slot.off)-word:int(slot.off)+int(slot.room)+word], pg.off+int(slot.off)-word)
		return nil
	})
	if err != nil { // no window: nothing was changed
		slot.state.Store(pack(s.gen, live))
		return failed("free", err)
	}
	o.refund(n)
	pg.give(slot)
	if found != nil {
		return found
	}
	return nil
}

// claim makes a live secret busy.
func (s Secret) claim() error {
	for {
		state := s.slot.state.Load()
		switch {
		case state>>genShift != s.gen || state&kindMask != live:
			return ErrFreed
		case state&userMask != 0:
			return ErrInUse
		case !s.slot.state.CompareAndSwap(state, pack(s.gen, busy)):
			continue
		case s.slot.page.pool.closed.Load():
			s.slot.state.Store(state)
			return region.ErrClosed
		}
		return nil
	}
}

// around looks at the bytes beside a secret of n bytes.
func (s *slot) around(b []byte, n int, o *Owner) *CorruptError {
	k, begin := s.page.pool.pattern, int(s.off)
	if i := k.differs(b[begin+n:begin+int(s.room)+word], s.page.off+begin+n); i >= 0 {
		return s.corrupt("behind a secret", begin+n+i, o)
	}
	if i := k.differs(b[begin-word:begin], s.page.off+begin-word); i >= 0 {
		return s.corrupt("before a secret", begin-word+i, o)
	}
	return nil
}
