package pmem

import (
	"fmt"
	"math"
)

// alloc makes an object of the bytes.
func (tx *Tx) alloc(typ uint32, flags uint8, data []byte) (off int64, incarnation uint16, err error) {
	if len(data) > math.MaxUint32 {
		return 0, 0, fmt.Errorf("%w: an object of %d bytes", ErrTooBig, len(data))
	}
	size := int64(len(data))
	direct := size > mostLogged
	r, err := tx.p.heap.reserve(spaceOf(size), direct)
	if err != nil {
		return 0, 0, err
	}
	tx.reserved = append(tx.reserved, r)
	h := header{incarnation: r.next, state: stateLive, flags: flags, typ: typ, size: uint32(size)}
	if direct {
		tx.allocDirect(r, h, data)
	} else {
		tx.allocSmall(r, h, data)
	}
	if r.run > 0 {
		for _, s := range tx.p.heap.occupied(r) {
			tx.record = appendRun(tx.record, tx.p.entryOffset(s.index), s.encode(s.index))
		}
		return r.off, r.next, nil
	}
	word, mask := tx.p.bitmapWord(r.s, r.slot)
	tx.mask(runSet, word, mask)
	return r.off, r.next, nil
}

// allocSmall lets the object travel in the record.
func (tx *Tx) allocSmall(r reservation, h header, data []byte) {
	start := bytesOffset(int64(h.size))
	at := tx.put(r.off, start+roundUp(int64(h.size), word))
	h.encode(tx.record[at:])
	e := tx.edit(edit{off: r.off, kind: editSmall, header: h, crcs: at + objectHeader, at: at + int(start)})
	copy(tx.content(e), data)
	tx.sealSmall(e)
}

// allocDirect lets the first bytes travel in the record: what says that the object is there.
func (tx *Tx) allocDirect(r reservation, h header, data []byte) {
	image := make([]byte, spaceOf(int64(h.size)))
	h.encode(image)
	e := tx.edit(edit{off: r.off, kind: editDirect, header: h, at: tx.put(r.off, freeHeader), large: &large{image: image}})
	copy(tx.content(e), data)
}

// free frees an object.
func (tx *Tx) free(ref uint64, w *want) error {
	off, incarnation, err := split(ref)
	if err != nil {
		return err
	}
	if e := tx.find(off); e != nil {
		return tx.freeEdited(e, incarnation, w)
	}
	var o object
	if err := tx.open(&o, off, incarnation, w); err != nil {
		return err
	}
	if err := tx.close(&o, nil); err != nil {
		return err
	}
	if err := tx.freeRuns(o.place, o.header); err != nil {
		return err
	}
	tx.edit(edit{off: off, kind: editFree, header: o.header})
	return nil
}

// freeEdited frees what the transaction has changed, or made.
func (tx *Tx) freeEdited(e *edit, incarnation uint16, w *want) error {
	if err := tx.refersTo(e, incarnation); err != nil {
		return err
	}
	if err := w.holds(e.header); err != nil {
		return err
	}
	if r := tx.reservationOf(e.off); r != nil {
		return tx.freeReserved(e, r)
	}
	at, err := tx.locate(e.off)
	if err != nil {
		return tx.nowhere(tx.p.stripes.of(e.off), err)
	}
	if err := tx.freeRuns(at, e.header); err != nil {
		return err
	}
	e.kind, e.large = editFree, nil
	return nil
}

func (tx *Tx) reservationOf(off int64) *reservation {
	for i := range tx.reserved {
		if tx.reserved[i].off == off {
			return &tx.reserved[i]
		}
	}
	return nil
}

// freeReserved frees what the transaction itself has made: the record makes it, and frees it.
func (tx *Tx) freeReserved(e *edit, r *reservation) error {
	if e.kind == editDirect {
		// Its first bytes are in the record, with CRCs that are not there yet.
		b := freed(e.off, e.header.incarnation)
		copy(tx.record[e.at:], b[:])
		e.large = nil
	}
	e.kind = editFree
	at := place{s: r.s, slot: r.slot, off: r.off}
	if r.run == 0 {
		return tx.freeRuns(at, e.header)
	}
	f := freedObject{s: r.s}
	for i, s := range tx.p.heap.occupied(*r) {
		base := s.base
		if i == 0 {
			base = e.header.incarnation
		}
		f.after = append(f.after, tx.p.newSpan(s.index, descriptor{used: true, base: base}))
	}
	tx.freed = append(tx.freed, f)
	tx.freeSpans(f.after)
	return nil
}

// freeRuns adds to the record that the space of an object is free.
func (tx *Tx) freeRuns(at place, h header) error {
	f := freedObject{s: at.s, slot: at.slot, immutable: h.flags&flagImmutable != 0}
	if at.s.slot == 0 {
		after, err := tx.p.heap.vacated(at.s, h.incarnation)
		if err != nil && tx.p.heap.loaded(at.s.index) != at.s { // somebody else has freed it
			return tx.conflicted()
		}
		if err != nil {
			return err
		}
		f.after = after
		tx.freed = append(tx.freed, f)
		tx.freeSpans(after)
		return nil
	}
	tx.freed = append(tx.freed, f)
	b := freed(at.off, h.incarnation)
	tx.record = appendRun(tx.record, at.off, b[:])
	word, mask := tx.p.bitmapWord(at.s, at.slot)
	tx.mask(runClear, word, mask)
	return nil
}

func (tx *Tx) freeSpans(after []*span) {
	for _, s := range after {
		tx.record = appendRun(tx.record, tx.p.entryOffset(s.index), s.encode(s.index))
	}
}
