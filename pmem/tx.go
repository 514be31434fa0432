package pmem

import (
	"errors"
	"slices"
)

// Tx is a transaction: what [Pool.Update] and [Pool.View] give to their function, and valid until
// that returns. It is used by one goroutine at a time, which may be another one than began it.
type Tx struct {
	p     *Pool
	write bool
	alone bool // it has the gate, or needs none
	ended bool
	// conflict: something that was read has changed since. Whatever the function makes of the
	// error, it is run again.
	conflict bool
	failed   error    // something is half done
	taken    bool     // the space that it reserved is, or may be
	seen     uint64   // the sequence up to which it sees the pool
	reads    []uint32 // stripes
	reading  uint32   // with -race only: the stripe that it holds to read, and 1
	edits    []edit
	index    editIndex
	record   []byte // room for a header, and the runs so far
	locks    []lock
	reserved []reservation
	freed    []freedObject
	hooks    []func()
	loan     bool
	kind     typed // that was used last
	scratch  []byte
	head     [objectHeader + 4*mostLogged/blockSize]byte
	own      committer
}

type lock struct {
	stripe  uint32
	version uint64
}

// errConflict makes Update and View run the function again.
var errConflict = errors.New("a conflict with another transaction: Update and View run the function again")

// OnApply has a function called when the transaction is committed and its changes are in place,
// once, before others see them. It must not use the pool.
func (tx *Tx) OnApply(fn func()) { tx.hooks = append(tx.hooks, fn) }

func (p *Pool) newTx(write bool) *Tx {
	tx, ok := txs.Get().(*Tx)
	if !ok {
		tx = &Tx{record: make([]byte, headerSize, 512)}
	}
	tx.p, tx.write, tx.ended = p, write, false
	return tx
}

// start makes a transaction see the pool as it is now.
func (tx *Tx) start() {
	tx.seen, tx.conflict, tx.failed, tx.taken = tx.p.applied.Load(), false, nil, false
}

// clear takes back what an attempt did in volatile memory, but for the space, which is given back
// by giveBack where it was not used.
func (tx *Tx) clear() {
	tx.release()
	if tx.loan {
		tx.p.heap.endLoan(tx)
		tx.loan = false
	}
	tx.reads, tx.edits, tx.locks = tx.reads[:0], tx.edits[:0], tx.locks[:0]
	clear(tx.reserved)
	tx.reserved, tx.freed = tx.reserved[:0], tx.freed[:0]
	clear(tx.hooks)
	tx.hooks = tx.hooks[:0]
	tx.record = tx.record[:headerSize]
	tx.index.used = false
}

// end gives a transaction back for others to use.
func (tx *Tx) end() {
	tx.clear()
	tx.ended, tx.alone = true, false
	tx.kind = typed{}
	tx.p = nil
	if cap(tx.record) <= 1<<16 && cap(tx.reads) <= 1<<12 && cap(tx.edits) <= 1<<10 {
		txs.Put(tx)
	}
}

// usable says why nothing can be read any more.
func (tx *Tx) usable() error {
	switch {
	case tx.ended:
		return ErrEnded
	case tx.conflict:
		return errConflict
	}
	return nil
}

func (tx *Tx) writable() error {
	if err := tx.usable(); err != nil {
		return err
	}
	if !tx.write {
		return ErrReadOnly
	}
	return nil
}

func (tx *Tx) conflicted() error {
	tx.conflict = true
	return errConflict
}

// extend makes the transaction see the pool as it is now, if nothing that it has read has changed.
func (tx *Tx) extend() bool {
	now := tx.p.applied.Load()
	if !tx.valid() {
		return false
	}
	tx.seen = now
	return true
}

// valid reports whether nothing that was read has changed. Stripes that the transaction holds have
// the version that they had before.
func (tx *Tx) valid() bool {
	for _, stripe := range tx.reads {
		v := tx.p.stripes.words[stripe].Load()
		if v&stripeHeld != 0 {
			own := tx.held(stripe)
			if own == nil {
				return false
			}
			v = own.version
		}
		if v>>1 > tx.seen {
			return false
		}
	}
	return true
}

func (tx *Tx) held(stripe uint32) *lock {
	for i := range tx.locks {
		if tx.locks[i].stripe == stripe {
			return &tx.locks[i]
		}
	}
	return nil
}

// view lends bytes of the medium.
func (tx *Tx) view(off, n int64) ([]byte, error) { return tx.p.m.View(off, n) }

// put adds a run to the record, and returns where its bytes are in it.
func (tx *Tx) put(off, n int64) int {
	tx.record = le.AppendUint64(tx.record, runHeader(runPut, off, n))
	at := len(tx.record)
	tx.record = slices.Grow(tx.record, int(roundUp(n, word)))[:at+int(roundUp(n, word))]
	clear(tx.record[at:])
	return at
}

// mask adds a run that sets or clears bits.
func (tx *Tx) mask(kind, off int64, bits uint64) {
	tx.record = le.AppendUint64(tx.record, runHeader(kind, off, word))
	tx.record = le.AppendUint64(tx.record, bits)
}
