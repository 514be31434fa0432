package pmem

import (
	"bytes"
	"fmt"
)

// place is where a reference points, as far as the volatile side knows.
type place struct {
	s    *span
	slot int64
	off  int64
	room int64
}

// locate finds the slot of a reference, and that an object can begin there.
func (tx *Tx) locate(off int64) (place, error) {
	i := tx.p.spanOf(off)
	var s *span
	if off >= tx.p.geometry.heap && i < tx.p.spans {
		s = tx.p.heap.loaded(i)
	}
	if s == nil {
		var err error
		if s, err = tx.p.heap.span(i); err != nil {
			return place{}, err
		}
	}
	slot, ok := s.slotAt(off & (tx.p.span - 1))
	if !ok {
		return place{}, fmt.Errorf("%w: offset %d", ErrStale, off)
	}
	return place{s, slot, off, s.room(&tx.p.geometry)}, nil
}

// readObject has a function copy from an object, whose header and place are right. Where the span
// changed its class meanwhile, what was read is nothing.
func (tx *Tx) readObject(at place, incarnation uint16, copy func(h header, b []byte) error) error {
	err := tx.read(tx.p.stripes.of(at.off), func() error {
		b, err := tx.view(at.off, freeHeader)
		if err != nil {
			return err
		}
		h := decodeHeader(b)
		if err := at.check(h, incarnation); err != nil {
			return err
		}
		start := bytesOffset(int64(h.size))
		if start > freeHeader {
			if b, err = tx.view(at.off, start); err != nil {
				return err
			}
		}
		if err := checkHeader(at.off, h, b); err != nil {
			return err
		}
		return copy(h, b)
	})
	if err != errConflict && tx.p.heap.loaded(at.s.index) != at.s {
		return tx.conflicted()
	}
	return err
}

// check holds the first bytes of an object against what referred to it.
func (at *place) check(h header, incarnation uint16) error {
	switch {
	case h.incarnation != incarnation || h.state == stateFree:
		return fmt.Errorf("%w: offset %d has incarnation %d, the reference %d", ErrStale, at.off, h.incarnation, incarnation)
	case h.state != stateLive || spaceOf(int64(h.size)) > at.room:
		return damaged(at.off, "the header of an object: state %d, %d bytes", h.state, h.size)
	}
	return nil
}

// checkHeader checks the CRC of a header. The bytes are up to those of the object.
func checkHeader(off int64, h header, b []byte) error {
	end := objectHeader + 4*blocksOf(int64(h.size))
	if le.Uint32(b[end:]) != checksum(b[:end]) {
		return damaged(off, "the CRC of the header of an object is wrong")
	}
	return nil
}

// copyBlock copies a block of an object, and checks its CRC. The header was checked.
func (tx *Tx) copyBlock(off int64, h header, head []byte, i int64, dst []byte) error {
	start := bytesOffset(int64(h.size)) + i*blockSize
	b, err := tx.view(off+start, int64(len(dst)))
	if err != nil {
		return err
	}
	copy(dst, b)
	if checksum(dst) != le.Uint32(head[objectHeader+4*i:]) {
		return damaged(off+start, "the CRC of block %d of an object is wrong", i)
	}
	return nil
}

// copyRange copies bytes of an object, and checks the CRCs of the blocks that they are in.
func (tx *Tx) copyRange(off int64, h header, head []byte, from int64, dst []byte) error {
	size := int64(h.size)
	var whole [blockSize]byte
	for len(dst) > 0 {
		i := from / blockSize
		n := min((i+1)*blockSize, size) - i*blockSize
		skip := from - i*blockSize
		if skip == 0 && int64(len(dst)) >= n {
			if err := tx.copyBlock(off, h, head, i, dst[:n]); err != nil {
				return err
			}
			from, dst = from+n, dst[n:]
			continue
		}
		if err := tx.copyBlock(off, h, head, i, whole[:n]); err != nil {
			return err
		}
		done := copy(dst, whole[skip:n])
		from, dst = from+int64(done), dst[done:]
	}
	return nil
}

// get copies bytes of an object as the transaction sees it. Without dst it checks the object alone.
func (tx *Tx) get(word uint64, check func(header) error, from int64, dst []byte) error {
	if err := tx.usable(); err != nil {
		return err
	}
	off, incarnation, err := split(word)
	if err != nil {
		return err
	}
	if len(tx.edits) > 0 {
		if e := tx.find(off); e != nil {
			return tx.getEdited(e, incarnation, check, from, dst)
		}
	}
	at, err := tx.locate(off)
	if err != nil {
		return err
	}
	return tx.readObject(at, incarnation, func(h header, head []byte) error {
		if err := check(h); err != nil {
			return err
		}
		return tx.copyRange(off, h, head, from, dst)
	})
}

// getEdited is get for what the transaction has changed.
func (tx *Tx) getEdited(e *edit, incarnation uint16, check func(header) error, from int64, dst []byte) error {
	if err := e.refersTo(incarnation); err != nil {
		return err
	}
	if err := check(e.header); err != nil {
		return err
	}
	if e.kind != editBlocks {
		copy(dst, tx.content(e)[from:])
		return nil
	}
	return tx.getBlocks(e, from, dst)
}

// getBlocks copies from an object of which some blocks are changed.
func (tx *Tx) getBlocks(e *edit, from int64, dst []byte) error {
	for len(dst) > 0 {
		i := from / blockSize
		b, err := tx.blockOf(e, i, false)
		if err != nil {
			return err
		}
		n := copy(dst, b[from-i*blockSize:])
		from, dst = from+int64(n), dst[n:]
	}
	return nil
}

// blockOf returns a block of an object as the transaction sees it: to be changed, if it asks so.
func (tx *Tx) blockOf(e *edit, i int64, change bool) ([]byte, error) {
	if b, ok := e.blocks[i]; ok {
		return b, nil
	}
	b := make([]byte, min(blockSize, int64(e.header.size)-i*blockSize))
	at, err := tx.locate(e.off)
	if err != nil {
		return nil, err
	}
	err = tx.readObject(at, e.header.incarnation, func(h header, head []byte) error { return tx.copyBlock(e.off, h, head, i, b) })
	if err == nil && change {
		e.blocks[i] = b
	}
	return b, err
}

func (e *edit) refersTo(incarnation uint16) error {
	if e.kind == editFree || e.header.incarnation != incarnation {
		return fmt.Errorf("%w: offset %d, in this transaction", ErrStale, e.off)
	}
	return nil
}

// split takes a reference apart.
func split(word uint64) (off int64, incarnation uint16, err error) {
	if word == 0 {
		return 0, 0, fmt.Errorf("%w: it is nil", ErrReference)
	}
	return int64(word & (1<<offsetBits - 1)), uint16(word >> offsetBits), nil
}

// change makes an object one that the transaction changes, or returns what it is already.
func (tx *Tx) change(word uint64, check func(header) error) (*edit, error) {
	if err := tx.writable(); err != nil {
		return nil, err
	}
	off, incarnation, err := split(word)
	if err != nil {
		return nil, err
	}
	if e := tx.find(off); e != nil {
		if err := e.refersTo(incarnation); err != nil {
			return nil, err
		}
		return e, check(e.header)
	}
	at, err := tx.locate(off)
	if err != nil {
		return nil, err
	}
	var h header
	err = tx.readObject(at, incarnation, func(found header, _ []byte) error { h = found; return check(found) })
	if err != nil {
		return nil, err
	}
	return tx.changeFound(off, h), nil
}

func (tx *Tx) changeFound(off int64, h header) *edit {
	size := int64(h.size)
	if size > mostLogged {
		return tx.edit(edit{off: off, kind: editBlocks, header: h, blocks: map[int64][]byte{}})
	}
	start := bytesOffset(size)
	at := tx.put(off+objectHeader, start-objectHeader+roundUp(size, word))
	return tx.edit(edit{off: off, kind: editSmall, header: h, crcs: at, at: at + int(start-objectHeader)})
}

// set changes bytes of an object: all of them, or some. Those that stay are checked before a CRC is
// computed that covers them, so that damage is not taken for what was meant.
func (tx *Tx) set(word uint64, check func(header) error, from int64, data []byte) error {
	before := len(tx.edits)
	e, err := tx.change(word, check)
	if err != nil {
		return err
	}
	if e.kind == editBlocks {
		return tx.half(tx.setBlocks(e, from, data))
	}
	whole := from == 0 && int64(len(data)) == int64(e.header.size)
	if len(tx.edits) > before && !whole {
		if err := tx.half(tx.fetch(e)); err != nil {
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

// fetch copies the whole object into a new edit.
func (tx *Tx) fetch(e *edit) error {
	at, err := tx.locate(e.off)
	if err != nil {
		return err
	}
	dst := tx.content(e)
	return tx.readObject(at, e.header.incarnation, func(h header, head []byte) error { return tx.copyRange(e.off, h, head, 0, dst) })
}

// setBlocks changes the blocks in which something differs.
func (tx *Tx) setBlocks(e *edit, from int64, data []byte) error {
	for len(data) > 0 {
		i := from / blockSize
		b, err := tx.blockOf(e, i, false)
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
