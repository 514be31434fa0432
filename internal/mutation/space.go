package mutation

// spaceMutants break the heap.
func spaceMutants() []Mutant {
	return []Mutant{
		one("slot not taken", "the record of an object does not set its bit", "alloc.go", `	tx.mask(runSet, word, mask)
`, `	_, _ = word, mask
`),
		one("slot stays taken", "the record of a free does not clear the bit", "alloc.go", `	tx.mask(runClear, word, mask)
`, `	_, _ = word, mask
`),
		one("free without header", "the record of a free does not say so in the header", "alloc.go",
			`	tx.record = appendRun(tx.record, at.off, b[:])
`, `	_ = b
`).later(),
		one("incarnation not raised", "a new object has the incarnation of the last one in its slot", "heap.go", `next: last + 1}`, `next: last}`).later(),
		one("incarnation of a run not raised", "a big object has the incarnation of the last one there", "run.go", `next: s.base + 1, run: n}`, `next: s.base, run: n}`).later(),
		one("base of a class", "the slots of a span with a new class forget the incarnations of the old ones", "assign.go", `base = max(base, i)`, `_ = i`).later(),
		one("retired slots", "a slot whose incarnations are used up is used again", "heap.go", `if err == nil && last < lastIncarnation {`, `if err == nil {`).later(),
		one("retired spans", "a span whose incarnations are used up gets another class", "assign.go", `if err != nil || i == lastIncarnation {`, `if err != nil {`).later(),
		one("slot reserved twice", "a slot that is reserved can be reserved again", "span.go", `			s.free[i] &^= 1 << bit
`, ``).later(),
		one("run not held", "spans that are reserved for a big object can be reserved again", "run.go", `h.loaded(i).held = true`, `_ = i`).later(),
		one("run without its spans", "the record of a big object says nothing of its spans", "alloc.go", `		for _, s := range tx.p.heap.occupied(r) {
			tx.record`, `		for _, s := range tx.p.heap.occupied(r)[:0] {
			tx.record`),
		one("heap without lock", "space is reserved without the lock of the heap", "heap.go", `(reservation, error) {
	h.lock.Lock()
	defer h.lock.Unlock()
	c := h.p.classFor(space)`, `(reservation, error) {
	c := h.p.classFor(space)`).later(),
		one("settle without lock", "what was freed is given to others without the lock of the heap", "settle.go", `	h := &tx.p.heap
	h.lock.Lock()
	defer h.lock.Unlock()
	for _, r := range tx.reserved {
		if r.run > 0 {`, `	h := &tx.p.heap
	for _, r := range tx.reserved {
		if r.run > 0 {`).later(),
		one("slot covered by a record", "R2: an object is written past the log where a live record frees the last one", "heap.go",
			`if !direct || s.changed <= h.p.checkpointed.Load() {`, `if true {`),
		one("class covered by a record", "R2: the slots of a new class are written past the log where a live record changes something", "assign.go",
			`	if err := h.uncover(s.changed); err != nil {
		return err
	}
`, ``),
		one("run covered by a record", "R2: a big object is written past the log where a live record changes something", "run.go",
			`	if err := h.uncover(last); err != nil {
		return reservation{}, err
	}
`, ``),
		one("free of a slot not remembered", "R2: it is not known that a live record covers a slot", "settle.go", `	f.s.changed = max(f.s.changed, sequence)
`, ``),
		one("free of a run not remembered", "R2: it is not known that a live record covers a span", "settle.go", `		s.changed = sequence
		h.store(s)`, `		h.store(s)`),
		one("change of a class not remembered", "R2: it is not known that a live record changes the class of a span", "assign.go", `		s.changed = c.sequence
`, ``),
		one("slots not prepared", "the slots of a new class keep what was there", "assign.go",
			`if err := h.p.stripes.past(off, b[:]); err != nil {`, `if err := error(nil); err != nil && b[0] == 0 {`),
		one("prepared slots not durable", "R3: the record of a new class is durable before the headers of its slots", "assign.go",
			`return h.p.persistDirect(all)`, `return nil`),
		one("prepared after the record", "R3: the headers of the slots of a new class are written after its record", "assign.go",
			`	if err := h.prepare(s, next); err != nil {
		return nil, err
	}
	if err := h.change(next); err != nil {
		return nil, err
	}
`, `	if err := h.change(next); err != nil {
		return nil, err
	}
	if err := h.prepare(s, next); err != nil {
		return nil, err
	}
`),
		one("class in one step", "a span gets its new class without the record that takes the old one off", "assign.go",
			`	if err := h.change(next); err != nil {
		return nil, err
	}
	assigned`, `	assigned`),
		one("untouched not looked at", "a span whose descriptor was lost is used as if it had never been", "assign.go", `h.p.spanOffset(s.index)+at, b[:]); err != nil || b != zeros {`,
			`h.p.spanOffset(s.index)+at, b[:]); err != nil || b != zeros && false {`).later(),
		one("bitmap not looked at", "a span is used whose bitmap is not empty, and should be", "assign.go", `h.p.entryOffset(s.index)+spanBitmap, b[:]); err != nil || b != zeros {`,
			`h.p.entryOffset(s.index)+spanBitmap, b[:]); err != nil || b != zeros && false {`).later(),
		one("device full", "a full device is found when a mapping is stored to", "assign.go", `		return fmt.Errorf("%w: %w", ErrFull, err)
`, `		_ = fmt.Errorf("%w: %w", ErrFull, err)
`).later(),
		one("used spans not said to be", "a span for a big object is not said to have been used before it is written", "run.go",
			`			changes = append(changes, h.p.newSpan(i, descriptor{used: true}))
`, ``),
	}
}
