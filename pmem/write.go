package pmem

import "bytes"

// change makes an object one that the transaction changes, or returns what it is already.
func (tx *Tx) change(ref uint64, w *want) (*edit, error) {
	off, incarnation, err := split(ref)
	if err != nil {
		return nil, err
	}
	if len(tx.edits) > 0 {
		if e := tx.find(off); e != nil {
			if err := tx.refersTo(e, incarnation); err != nil {
				return nil, err
			}
			return e, w.holds(e.header)
		}
	}
	var o object
	if err := tx.open(&o, off, incarnation, w); err != nil {
		return nil, err
	}
	if err := tx.close(&o, nil); err != nil {
		return nil, err
	}
	return tx.changeFound(off, o.header), nil
}

func (tx *Tx) changeFound(off int64, h header) *edit {
	size := int64(h.size)
	if size > mostLogged {
		return tx.edit(edit{off: off, kind: editBlocks, header: h, large: &large{blocks: map[int64][]byte{}}})
	}
	start := bytesOffset(size)
	n := start - objectHeader + roundUp(size, word)
	tx.p.m.Prefetch(off+objectHeader, n)
	at := tx.put(off+objectHeader, n)
	return tx.edit(edit{off: off, kind: editSmall, header: h, crcs: at, at: at + int(start-objectHeader)})
}

// set changes bytes of an object: all of them, or some. Those that stay are checked before a CRC is
// computed that covers them, so that damage is not taken for what was meant.
func (tx *Tx) set(ref uint64, w *want, from int64, data []byte) error {
	before := len(tx.edits)
	w.change = true
	e, err := tx.change(ref, w)
	if err != nil {
		return err
	}
	if e.kind == editBlocks {
		return tx.half(tx.setBlocks(e, from, data))
	}
	whole := from == 0 && int64(len(data)) == int64(e.header.size)
	if len(tx.edits) > before && !whole {
		if err := tx.half(tx.fetch(e, 0, tx.content(e))); err != nil {
			return err
		}
	}
	copy(tx.content(e)[from:], data)
	if e.kind == editSmall {
		tx.sealSmall(e)
	}
	return nil
}

// half keeps an error after which the transaction can't be committed, whatever its function makes
// of it: something is half done.
func (tx *Tx) half(err error) error {
	if err != nil && tx.failed == nil {
		tx.failed = err
	}
	return err
}

// fetch copies bytes of an object that is about to change, as they are on the medium.
func (tx *Tx) fetch(e *edit, from int64, dst []byte) error {
	var o object
	w := want{typ: e.header.typ, sized: true, size: int64(e.header.size)}
	if err := tx.open(&o, e.off, e.header.incarnation, &w); err != nil {
		return err
	}
	return tx.close(&o, tx.copyRange(&o, from, dst))
}

// blockOf returns a block of a big object as the transaction sees it.
func (tx *Tx) blockOf(e *edit, i int64) ([]byte, error) {
	if b, ok := e.blocks[i]; ok {
		return b, nil
	}
	b := make([]byte, min(blockSize, int64(e.header.size)-i*blockSize))
	return b, tx.fetch(e, i*blockSize, b)
}

// setBlocks changes the blocks in which something differs.
func (tx *Tx) setBlocks(e *edit, from int64, data []byte) error {
	for len(data) > 0 {
		i := from / blockSize
		b, err := tx.blockOf(e, i)
		if err != nil {
			return err
		}
		skip := from - i*blockSize
		n := min(int64(len(b))-skip, int64(len(data)))
		if !bytes.Equal(b[skip:skip+n], data[:n]) {
			copy(b[skip:], data[:n])
			e.blocks[i] = b
		}
		from, data = from+n, data[n:]
	}
	return nil
}
