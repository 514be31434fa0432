package pmem

import (
	"bytes"
	"slices"

	"github.com/safevma/safevma/pmem/medium"
)

// edit is what a transaction does with an object, or with an entry of a table.
type edit struct {
	off    int64
	stripe uint32
	kind   editKind
	header header
	at     int // in the record: of the bytes of the object, of an entry
	crcs   int // in the record: of the CRCs
	*large     // of objects that don't travel in the record
}

type large struct {
	image  []byte           // of an object that is written past the log, from its header on
	blocks map[int64][]byte // of one that changes: the blocks that do
}

type editKind uint8

const (
	editEntry  editKind = iota // of a table
	editSmall                  // the object is in the record
	editDirect                 // it is written past the log, before the record
	editBlocks                 // some blocks are
	editFree
)

// mostLogged is how long an object may be that travels in the record, in bytes.
const mostLogged = 1 << 10

// find returns what the transaction did with what is at an offset.
func (tx *Tx) find(off int64) *edit {
	if tx.index.used {
		if i := tx.index.find(tx.edits, off); i >= 0 {
			return &tx.edits[i]
		}
		return nil
	}
	for i := len(tx.edits) - 1; i >= 0; i-- {
		if tx.edits[i].off == off {
			return &tx.edits[i]
		}
	}
	return nil
}

// edit adds one.
func (tx *Tx) edit(e edit) *edit {
	e.stripe = tx.p.stripes.of(e.off)
	tx.edits = append(tx.edits, e)
	tx.index.add(tx.edits)
	return &tx.edits[len(tx.edits)-1]
}

// sealSmall computes the CRCs of an object in the record.
func (tx *Tx) sealSmall(e *edit) {
	head := tx.head[:]
	e.header.encode(head[:])
	at, b := objectHeader, tx.record[e.at:][:e.header.size]
	for i := range blocksOf(int64(len(b))) {
		le.PutUint32(head[at:], checksum(block(b, i)))
		at += 4
	}
	n := copy(tx.record[e.crcs:], head[objectHeader:at])
	le.PutUint32(tx.record[e.crcs+n:], headCRC(e.off, head[:at]))
}

// content returns the bytes of an object as the transaction sees them, where all of them are in
// the edit.
func (tx *Tx) content(e *edit) []byte {
	if e.kind == editDirect {
		return e.image[bytesOffset(int64(e.header.size)):][:e.header.size]
	}
	return tx.record[e.at:][:e.header.size]
}

// finish brings into the record what is known only when the function has returned, and writes
// what goes past the log. It is durable when finish returns: the CRC of a record says nothing of
// other lines.
func (tx *Tx) finish() error {
	var direct []medium.Extent
	for i := range tx.edits {
		switch e := &tx.edits[i]; e.kind {
		case editDirect:
			extent, err := tx.writeDirect(e)
			if err != nil {
				return err
			}
			direct = append(direct, extent)
		case editBlocks:
			if err := tx.emitBlocks(e); err != nil {
				return err
			}
		}
	}
	if len(direct) == 0 {
		return nil
	}
	return tx.p.persistDirect(direct)
}

// writeDirect writes an object where it will be, but for its first bytes: until the record is
// applied, they say that the space is free.
func (tx *Tx) writeDirect(e *edit) (medium.Extent, error) {
	seal(e.off, e.image, int64(e.header.size))
	copy(tx.record[e.at:], e.image[:freeHeader])
	rest := e.image[freeHeader:]
	return medium.Extent{Off: e.off + freeHeader, Len: int64(len(rest))}, tx.p.stripes.past(e.off+freeHeader, rest)
}

// emitBlocks adds the blocks that change, and their CRCs, to the record.
func (tx *Tx) emitBlocks(e *edit) error {
	size := int64(e.header.size)
	start := bytesOffset(size)
	old := make([]byte, start)
	if err := tx.fetchHead(e, old); err != nil {
		return err
	}
	now := bytes.Clone(old)
	for _, i := range sortedBlocks(e.blocks) {
		data := e.blocks[i]
		le.PutUint32(now[objectHeader+4*i:], checksum(data))
		at := tx.put(e.off+start+i*blockSize, roundUp(int64(len(data)), word))
		copy(tx.record[at:], data)
	}
	end := objectHeader + 4*blocksOf(size)
	le.PutUint32(now[end:], headCRC(e.off, now[:end]))
	tx.emitChanged(e.off, old, now)
	return nil
}

// fetchHead copies the header and the CRCs of an object.
func (tx *Tx) fetchHead(e *edit, head []byte) error {
	var o object
	w := want{typ: e.header.typ, sized: true, size: int64(e.header.size)}
	if err := tx.open(&o, e.off, e.header.incarnation, &w); err != nil {
		return err
	}
	copy(head, o.head)
	return tx.close(&o, nil)
}

// emitChanged adds the words to the record in which new bytes differ from old ones.
func (tx *Tx) emitChanged(off int64, old, now []byte) {
	same := func(i int) bool { return bytes.Equal(old[i:i+word], now[i:i+word]) }
	for i := 0; i < len(now); {
		if same(i) {
			i += word
			continue
		}
		from := i
		for i < len(now) && !same(i) {
			i += word
		}
		at := tx.put(off+int64(from), int64(i-from))
		copy(tx.record[at:], now[from:i])
	}
}

func sortedBlocks(blocks map[int64][]byte) []int64 {
	all := make([]int64, 0, len(blocks))
	for i := range blocks {
		all = append(all, i)
	}
	slices.Sort(all)
	return all
}
