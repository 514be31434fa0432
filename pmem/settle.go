package pmem

// freedObject is space that a transaction gives back when it commits.
type freedObject struct {
	s         *span
	slot      int64
	immutable bool
	after     []*span // what its spans are then, where it was big
}

// settle tells the heap what a transaction that was applied took and freed.
func (tx *Tx) settle(sequence uint64) {
	if len(tx.reserved) == 0 && len(tx.freed) == 0 {
		return
	}
	h := &tx.p.heap
	h.lock.Lock()
	defer h.lock.Unlock()
	for _, r := range tx.reserved {
		if r.run > 0 {
			for _, s := range h.occupied(r) {
				h.store(s)
			}
		}
	}
	for _, f := range tx.freed {
		h.free(f, sequence)
	}
}

// free gives space to others, unless somebody may still look at what was in it.
func (h *heap) free(f freedObject, sequence uint64) {
	if f.immutable && h.loans.older(sequence) {
		h.loans.kept = append(h.loans.kept, keptObject{f, sequence})
		return
	}
	f.s.changed = max(f.s.changed, sequence)
	if f.after == nil {
		f.s.give(f.slot)
		h.list(f.s)
		return
	}
	for _, s := range f.after {
		s.changed = sequence
		h.store(s)
		h.list(s)
	}
}

// giveBack returns the space that a transaction reserved and did not use.
func (tx *Tx) giveBack() {
	if len(tx.reserved) == 0 {
		return
	}
	h := &tx.p.heap
	h.lock.Lock()
	defer h.lock.Unlock()
	for _, r := range tx.reserved {
		if r.run == 0 {
			r.s.give(r.slot)
			h.list(r.s)
			continue
		}
		for i := range r.run {
			s := h.loaded(r.s.index + i)
			s.held = false
			h.list(s)
		}
	}
}

// loans are the transactions that look at memory of the pool ([Borrow]). What is freed meanwhile
// is used again when they have ended: those that began before the free.
type loans struct {
	open map[*Tx]uint64 // with what they see
	kept []keptObject
}

type keptObject struct {
	freedObject
	sequence uint64
}

// older reports whether a loan began before a sequence.
func (l *loans) older(sequence uint64) bool {
	for _, seen := range l.open {
		if seen < sequence {
			return true
		}
	}
	return false
}

func (h *heap) beginLoan(tx *Tx) {
	h.lock.Lock()
	defer h.lock.Unlock()
	h.loans.open[tx] = tx.seen
	tx.loan = true
}

func (h *heap) endLoan(tx *Tx) {
	h.lock.Lock()
	defer h.lock.Unlock()
	delete(h.loans.open, tx)
	kept := h.loans.kept
	h.loans.kept = nil
	for _, k := range kept {
		h.free(k.freedObject, k.sequence)
	}
}
