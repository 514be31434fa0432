package pmem

import (
	"context"
	"errors"
)

// commit makes a transaction durable and puts it in place.
func (tx *Tx) commit(ctx context.Context) error {
	if err := tx.finish(); err != nil {
		return err
	}
	if !tx.alone {
		if err := tx.p.gate.pass(); err != nil {
			return err
		}
	}
	tx.lockAll()
	sequence := uint64(0)
	defer func() { tx.unlockAll(sequence) }()
	if !tx.valid() {
		return tx.conflicted()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &tx.own
	*c = committer{record: tx.record, sum: updateCRC(0, tx.record[headerSize:]), frees: len(tx.reserved) == 0}
	if err := tx.p.append(c); err != nil {
		tx.taken = errors.Is(err, ErrOutcomeUnknown)
		return err
	}
	// R6: durable, and in place. Others may see it when the stripes are released: as what it is, also
	// where a hook panics.
	sequence, tx.taken = c.sequence, true
	tx.settle(c.sequence)
	tx.runHooks()
	return nil
}

// lockAll takes the stripes of all that changes, in ascending order, so that no two committers
// wait for each other.
func (tx *Tx) lockAll() {
	for i := range tx.edits {
		tx.addLock(tx.edits[i].stripe)
	}
	for i := range tx.locks {
		tx.locks[i].version = tx.p.stripes.lock(tx.locks[i].stripe)
	}
}

// addLock keeps the locks sorted, each once. Most transactions have few.
func (tx *Tx) addLock(stripe uint32) {
	i := len(tx.locks)
	for i > 0 && tx.locks[i-1].stripe > stripe {
		i--
	}
	if i > 0 && tx.locks[i-1].stripe == stripe {
		return
	}
	tx.locks = append(tx.locks, lock{})
	copy(tx.locks[i+1:], tx.locks[i:])
	tx.locks[i] = lock{stripe: stripe}
}

// unlockAll releases the stripes. What was committed has a new version; what was not keeps its own.
func (tx *Tx) unlockAll(sequence uint64) {
	for _, l := range tx.locks {
		version := l.version
		if sequence > 0 {
			version = sequence << 1
		}
		tx.p.stripes.unlock(l.stripe, version)
	}
	tx.locks = tx.locks[:0]
}
