package pmem

import "fmt"

// place is where a reference points, as far as the volatile side knows.
type place struct {
	s    *span
	slot int64
	off  int64
}

// object is one that is being read. Between open and close nobody may have changed it: what was
// copied counts only when close says so.
type object struct {
	place
	header
	head    []byte // lent: the header and the CRCs
	stripe  uint32
	version uint64
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
	if !ok && !s.used { // what is stale was there once
		return place{}, fmt.Errorf("%w, or %w", ErrReference, damaged(tx.p.entryOffset(i), "span %d was never used, and a reference is to offset %d in it", i, off))
	}
	if !ok {
		return place{}, fmt.Errorf("%w: offset %d", ErrStale, off)
	}
	return place{s, slot, off}, nil
}

// begin waits until nobody changes a stripe, and returns its version, which is one that the
// transaction sees.
func (tx *Tx) begin(stripe uint32) (uint64, error) {
	v := tx.p.stripes.await(stripe)
	if v>>1 > tx.seen && !tx.extend() {
		return 0, tx.conflicted()
	}
	if n := len(tx.reads); n == 0 || tx.reads[n-1] != stripe {
		tx.reads = append(tx.reads, stripe)
	}
	if raceEnabled {
		tx.p.stripes.beginRead(stripe)
		tx.reading = stripe + 1
	}
	return v, nil
}

// done reports whether nobody changed a stripe since begin.
func (tx *Tx) done(stripe uint32, version uint64) bool {
	tx.release()
	orderReads()
	return tx.p.stripes.words[stripe].Load() == version
}

// release ends what begin began: at the latest with the transaction, where a fault cut reading short.
func (tx *Tx) release() {
	if raceEnabled && tx.reading != 0 {
		tx.p.stripes.endRead(tx.reading - 1)
		tx.reading = 0
	}
}

// open finds an object, and checks its header. Where it returns no error, close follows.
func (tx *Tx) open(o *object, off int64, incarnation uint16, w *want) (err error) {
	o.stripe = tx.p.stripes.of(off)
	if o.place, err = tx.locate(off); err != nil {
		return tx.nowhere(o.stripe, err)
	}
	if o.version, err = tx.begin(o.stripe); err != nil {
		return err
	}
	if err := tx.readHead(o, incarnation, w); err != nil {
		return tx.close(o, err)
	}
	return nil
}

// nowhere returns why no object can be at an offset. The heap may know of a free that the transaction
// does not see yet: then what led to it has changed too, and it is a conflict.
func (tx *Tx) nowhere(stripe uint32, err error) error {
	version, conflict := tx.begin(stripe)
	if conflict != nil {
		return conflict
	}
	tx.done(stripe, version)
	return err
}

// close ends reading. An error found on the way counts only if what led to it was there: if
// nobody changed the object, nor the class of its span.
func (tx *Tx) close(o *object, err error) error {
	if !tx.done(o.stripe, o.version) || tx.p.heap.loaded(o.s.index) != o.s {
		return tx.conflicted()
	}
	return err
}

func (tx *Tx) readHead(o *object, incarnation uint16, w *want) (err error) {
	if o.head, err = tx.view(o.off, freeHeader); err != nil {
		return err
	}
	o.header = decodeHeader(o.head)
	if o.state == stateFree {
		return tx.absent(o, incarnation)
	}
	if o.state != stateLive || spaceOf(int64(o.size)) > o.s.room(&tx.p.geometry) {
		return damaged(o.off, "the header of an object: state %d, %d bytes", o.state, o.size)
	}
	end := objectHeader + 4*blocksOf(int64(o.size))
	if end+4 > freeHeader {
		if o.head, err = tx.view(o.off, bytesOffset(int64(o.size))); err != nil {
			return err
		}
	}
	if err := checkHead(o.off, o.head[:end+4]); err != nil {
		return err
	}
	if o.incarnation != incarnation {
		return stale(o, incarnation)
	}
	return w.holds(o.header)
}

func stale(o *object, incarnation uint16) error {
	return fmt.Errorf("%w: offset %d has incarnation %d, the reference %d", ErrStale, o.off, o.incarnation, incarnation)
}

// absent says why no object is in a slot. It was freed, unless the header is not valid, or the
// bitmap has another opinion.
func (tx *Tx) absent(o *object, incarnation uint16) error {
	switch _, err := freeIncarnation(o.off, o.head); {
	case err != nil:
		return err
	case o.s.slot == 0 || tx.p.taken(o.place):
		return damaged(o.off, "the header says that nothing is there, and the tables that there is an object")
	}
	return stale(o, incarnation)
}

// taken reports whether the bitmap says that a slot has an object. The caller sees to it that this
// one does not change meanwhile; those that share a word with it are kept from it by the turn.
func (p *Pool) taken(at place) bool {
	p.turn.Lock()
	defer p.pass()
	defer p.turn.Unlock()
	off, mask := p.bitmapWord(at.s, at.slot)
	w, err := p.m.Load8(off)
	return err == nil && w&mask != 0
}

// copyBlock copies a block of an object, and checks its CRC.
func (tx *Tx) copyBlock(o *object, i int64, dst []byte) error {
	off := o.off + bytesOffset(int64(o.size)) + i*blockSize
	b, err := tx.view(off, int64(len(dst)))
	if err != nil {
		return err
	}
	copy(dst, b)
	if checksum(dst) != le.Uint32(o.head[objectHeader+4*i:]) {
		return damaged(off, "the CRC of block %d of an object is wrong", i)
	}
	return nil
}

// copyRange copies bytes of an object, and checks the CRCs of the blocks that they are in.
func (tx *Tx) copyRange(o *object, from int64, dst []byte) error {
	for len(dst) > 0 {
		i := from / blockSize
		n := min(blockSize, int64(o.size)-i*blockSize)
		if skip := from - i*blockSize; skip > 0 || int64(len(dst)) < n {
			done, err := tx.copyPart(o, i, n, skip, dst)
			if err != nil {
				return err
			}
			from, dst = from+done, dst[done:]
			continue
		}
		if err := tx.copyBlock(o, i, dst[:n]); err != nil {
			return err
		}
		from, dst = from+n, dst[n:]
	}
	return nil
}

// copyPart copies from a block of n bytes what is behind its first bytes.
func (tx *Tx) copyPart(o *object, i, n, skip int64, dst []byte) (int64, error) {
	b := make([]byte, n)
	if err := tx.copyBlock(o, i, b); err != nil {
		return 0, err
	}
	return int64(copy(dst, b[skip:])), nil
}

// get copies bytes of an object, as the transaction sees it, from an offset on.
func (tx *Tx) get(ref uint64, w *want, from int64, dst []byte) error {
	off, incarnation, err := split(ref)
	if err != nil {
		return err
	}
	if len(tx.edits) > 0 {
		if e := tx.find(off); e != nil {
			return tx.getEdited(e, incarnation, w, from, dst)
		}
	}
	var o object
	if err := tx.open(&o, off, incarnation, w); err != nil {
		return err
	}
	return tx.close(&o, tx.copyRange(&o, from, dst))
}

// headerOf returns the header of an object as the transaction sees it.
func (tx *Tx) headerOf(ref uint64, w *want) (header, error) {
	off, incarnation, err := split(ref)
	if err != nil {
		return header{}, err
	}
	if e := tx.find(off); e != nil {
		if err := tx.refersTo(e, incarnation); err != nil {
			return header{}, err
		}
		return e.header, w.holds(e.header)
	}
	var o object
	if err := tx.open(&o, off, incarnation, w); err != nil {
		return header{}, err
	}
	return o.header, tx.close(&o, nil)
}

// getEdited is get for what the transaction has changed.
func (tx *Tx) getEdited(e *edit, incarnation uint16, w *want, from int64, dst []byte) error {
	if err := tx.refersTo(e, incarnation); err != nil {
		return err
	}
	if err := w.holds(e.header); err != nil {
		return err
	}
	if e.kind != editBlocks {
		copy(dst, tx.content(e)[from:])
		return nil
	}
	for len(dst) > 0 {
		i := from / blockSize
		b, err := tx.blockOf(e, i)
		if err != nil {
			return err
		}
		n := copy(dst, b[from-i*blockSize:])
		from, dst = from+int64(n), dst[n:]
	}
	return nil
}

// refersTo checks that a reference is to what the transaction did. Another transaction may have freed
// what it refers to, so that this one got its space: then what led here has changed too.
func (tx *Tx) refersTo(e *edit, incarnation uint16) error {
	if e.kind != editFree && e.header.incarnation == incarnation {
		return nil
	}
	if !tx.valid() {
		return tx.conflicted()
	}
	return fmt.Errorf("%w: offset %d, in this transaction", ErrStale, e.off)
}

// split takes a reference apart.
func split(ref uint64) (off int64, incarnation uint16, err error) {
	if ref == 0 {
		return 0, 0, fmt.Errorf("%w: it is nil", ErrReference)
	}
	return int64(ref & (1<<offsetBits - 1)), uint16(ref >> offsetBits), nil
}

// borrow lends the bytes of an immutable object.
func (tx *Tx) borrow(ref uint64, w *want) (lent []byte, err error) {
	off, incarnation, err := split(ref)
	if err != nil {
		return nil, err
	}
	if e := tx.find(off); e != nil {
		if err := tx.refersTo(e, incarnation); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: the object was made in this transaction: it can be borrowed when that is committed", ErrImmutable)
	}
	if !tx.loan { // before the look: what is freed from now on is kept
		tx.p.heap.beginLoan(tx)
	}
	var o object
	if err := tx.open(&o, off, incarnation, w); err != nil {
		return nil, err
	}
	lent, err = tx.lend(&o)
	return lent, tx.close(&o, err)
}

func (tx *Tx) lend(o *object) ([]byte, error) {
	size := int64(o.size)
	b, err := tx.view(o.off+bytesOffset(size), size)
	if err != nil {
		return nil, err
	}
	for i := range blocksOf(size) {
		if checksum(block(b, i)) != le.Uint32(o.head[objectHeader+4*i:]) {
			return nil, damaged(o.off, "the CRC of block %d of an object is wrong", i)
		}
	}
	return b, nil
}
