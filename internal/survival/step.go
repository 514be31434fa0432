package survival

import (
	"fmt"
	"math/rand/v2"

	"github.com/safevma/safevma/pmem"
)

// step is a part of a transaction.
type step func(l *ledger, tx *pmem.Tx, random *rand.Rand) error

var steps = []step{(*ledger).transfer, (*ledger).transfer, (*ledger).push, (*ledger).pop, (*ledger).store, (*ledger).change}

func (l *ledger) transfer(tx *pmem.Tx, random *rand.Rand) error {
	from := random.IntN(accounts)
	to := (from + 1 + random.IntN(accounts-1)) % accounts
	amount := random.Int64N(1000)
	for i, add := range map[int]int64{from: -amount, to: amount} {
		a, err := pmem.Get(tx, l.Accounts[i])
		if err != nil {
			return err
		}
		a.Balance += add
		if err := pmem.Set(tx, l.Accounts[i], a); err != nil {
			return err
		}
	}
	return nil
}

func (l *ledger) push(tx *pmem.Tx, random *rand.Rand) error {
	ref := l.Shelves[random.IntN(shelves)]
	s, err := pmem.Get(tx, ref)
	if err != nil || s.Length == longest {
		return err
	}
	c := cell{Value: random.Uint64(), Next: s.Head}
	if s.Head, err = pmem.Alloc(tx, c); err != nil {
		return err
	}
	s.Length++
	s.Sum += c.Value
	return pmem.Set(tx, ref, s)
}

func (l *ledger) pop(tx *pmem.Tx, random *rand.Rand) error {
	ref := l.Shelves[random.IntN(shelves)]
	s, err := pmem.Get(tx, ref)
	if err != nil || s.Length == 0 {
		return err
	}
	c, err := pmem.Get(tx, s.Head)
	if err != nil {
		return err
	}
	if err := pmem.Free(tx, s.Head); err != nil {
		return err
	}
	s.Head = c.Next
	s.Length--
	s.Sum -= c.Value
	return pmem.Set(tx, ref, s)
}

// store puts a new blob in the place of an old one, or takes that away.
func (l *ledger) store(tx *pmem.Tx, random *rand.Rand) error {
	ref, i := l.Shelves[random.IntN(shelves)], random.IntN(blobs)
	s, err := pmem.Get(tx, ref)
	if err != nil {
		return err
	}
	if !s.Blobs[i].IsNil() {
		if err := pmem.Free(tx, s.Blobs[i]); err != nil {
			return err
		}
	}
	s.Blobs[i], s.Labels[i] = pmem.Ref[pmem.Bytes]{}, label{}
	if random.IntN(4) > 0 {
		s.Labels[i] = newLabel(random)
		if s.Blobs[i], err = allocBlob(tx, s.Labels[i]); err != nil {
			return err
		}
	}
	return pmem.Set(tx, ref, s)
}

// change changes some cells of a blob.
func (l *ledger) change(tx *pmem.Tx, random *rand.Rand) error {
	ref, i := l.Shelves[random.IntN(shelves)], random.IntN(blobs)
	s, err := pmem.Get(tx, ref)
	if err != nil {
		return err
	}
	cells := s.Labels[i].Size / cellSize
	if s.Labels[i].Immutable != 0 || cells == 0 {
		return nil
	}
	for range 1 + random.IntN(3) {
		at := random.Uint32N(cells)
		var b [cellSize]byte
		if err := pmem.ReadBytes(tx, s.Blobs[i], int64(at*cellSize), b[:]); err != nil {
			return err
		}
		version, err := versionOf(b[:], s.Labels[i].Seed, uint64(at))
		if err != nil {
			return err
		}
		putCell(b[:], s.Labels[i].Seed, uint64(at), version+1)
		if err := pmem.SetBytes(tx, s.Blobs[i], int64(at*cellSize), b[:]); err != nil {
			return err
		}
		s.Labels[i].Changes++
	}
	return pmem.Set(tx, ref, s)
}

// raise counts a transaction of a worker. Nobody else changes its counter.
func (l *ledger) raise(tx *pmem.Tx, worker int, to uint64) error {
	c, err := pmem.Get(tx, l.Counters[worker])
	if err != nil {
		return err
	}
	if c.Count+1 != to {
		return fmt.Errorf("the counter of worker %d is %d, and it has made %d transactions", worker, c.Count, to-1)
	}
	return pmem.Set(tx, l.Counters[worker], counter{to})
}
