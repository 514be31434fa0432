package pmem

// overlay is what live records change, to be laid over what is read of a pool that they were not
// applied to, or that they were: the result is the same. It has an entry for each line of 64
// bytes in which a word changes.
type overlay map[int64]*overlaid

// overlaid says of each word of a line which bits of it stay, and which are set in it.
type overlaid struct{ stay, set [line / word]uint64 }

// add adds a change, which comes after those before it.
func (o overlay) add(r run) {
	for i := int64(0); i < int64(len(r.data)); i += word {
		at := r.off + i
		w := o[at&^(line-1)]
		if w == nil {
			w = new(overlaid)
			for j := range w.stay {
				w.stay[j] = ^uint64(0)
			}
			o[at&^(line-1)] = w
		}
		w.change(r.kind, at%line/word, le.Uint64(r.data[i:]))
	}
}

func (w *overlaid) change(kind, i int64, v uint64) {
	switch kind {
	case runPut:
		w.stay[i], w.set[i] = 0, v
	case runSet:
		w.set[i] |= v
	case runClear:
		w.stay[i] &^= v
		w.set[i] &^= v
	}
}

// lay changes what was read at an offset.
func (o overlay) lay(off int64, p []byte) {
	if len(o) == 0 {
		return
	}
	for at := off &^ (line - 1); at < off+int64(len(p)); at += line {
		if w := o[at]; w != nil {
			w.lay(at-off, p)
		}
	}
}

// lay changes the bytes of a line that begins at a place of p, or before it.
func (w *overlaid) lay(at int64, p []byte) {
	for i := range int64(line) {
		if j := at + i; j >= 0 && j < int64(len(p)) {
			shift := i % word * 8
			p[j] = p[j]&byte(w.stay[i/word]>>shift) | byte(w.set[i/word]>>shift)
		}
	}
}
