package survival

import (
	"context"
	"fmt"

	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/fsck"
)

// Report is what [Check] saw.
type Report struct {
	Transactions uint64 // of all workers
	Cells, Blobs int
	Bytes        int64 // of the blobs
	Replayed     int   // by this opening
}

// LostError is a transaction that was acknowledged and is not there.
type LostError struct {
	Worker              int
	There, Acknowledged uint64
}

func (e *LostError) Error() string {
	return fmt.Sprintf("worker %d acknowledged transaction %d, and %d are there", e.Worker, e.Acknowledged, e.There)
}

// Check looks at what is left, in a pool that is quiet. Where the reports of starts may be lost (they travel, and the
// power is cut), all of the rest is checked.
func Check(ctx context.Context, p *pmem.Pool, progress *Progress, startsKnown bool) (r Report, err error) {
	err = p.View(ctx, func(tx *pmem.Tx) error {
		r, err = check(tx, progress, startsKnown)
		return err
	})
	r.Replayed = p.Info().Recovery.Records
	if err == nil {
		err = fsck.Pool(p)
	}
	return r, err
}

func check(tx *pmem.Tx, p *Progress, startsKnown bool) (r Report, err error) {
	root, err := pmem.Root[ledger](tx, rootName)
	if err != nil {
		return r, err
	}
	l, err := pmem.Get(tx, root)
	if err != nil {
		return r, err
	}
	if err := l.checkMoney(tx); err != nil {
		return r, err
	}
	for i := range l.Shelves {
		if err := l.checkShelf(tx, i, &r); err != nil {
			return r, fmt.Errorf("shelf %d: %w", i, err)
		}
	}
	return r, l.checkCounters(tx, p, startsKnown, &r)
}

func (l *ledger) checkCounters(tx *pmem.Tx, p *Progress, startsKnown bool, r *Report) error {
	for i, ref := range l.Counters {
		c, err := pmem.Get(tx, ref)
		if err != nil {
			return err
		}
		r.Transactions += c.Count
		if c.Count < p.Acknowledged[i] {
			return &LostError{i, c.Count, p.Acknowledged[i]}
		}
		if startsKnown && c.Count > p.Started[i] {
			return fmt.Errorf("worker %d started transaction %d, and %d are there", i, p.Started[i], c.Count)
		}
	}
	return nil
}

func (l *ledger) checkMoney(tx *pmem.Tx) error {
	sum := int64(0)
	for _, ref := range l.Accounts {
		a, err := pmem.Get(tx, ref)
		if err != nil {
			return err
		}
		sum += a.Balance
	}
	if sum != accounts*deposit {
		return fmt.Errorf("the money in all accounts is %d, and was %d", sum, accounts*deposit)
	}
	return nil
}

func (l *ledger) checkShelf(tx *pmem.Tx, i int, r *Report) error {
	s, err := pmem.Get(tx, l.Shelves[i])
	if err != nil {
		return err
	}
	if err := s.checkList(tx); err != nil {
		return err
	}
	r.Cells += int(s.Length)
	for i, ref := range s.Blobs {
		if ref.IsNil() {
			continue
		}
		b, err := readBlob(tx, ref, s.Labels[i])
		if err == nil {
			err = checkBlob(b, s.Labels[i])
		}
		if err != nil {
			return fmt.Errorf("blob %d: %w", i, err)
		}
		r.Blobs++
		r.Bytes += int64(len(b))
	}
	return nil
}

func (s *shelf) checkList(tx *pmem.Tx) error {
	length, sum := uint64(0), uint64(0)
	for ref := s.Head; !ref.IsNil() && length <= longest; length++ {
		c, err := pmem.Get(tx, ref)
		if err != nil {
			return fmt.Errorf("cell %d: %w", length, err)
		}
		sum += c.Value
		ref = c.Next
	}
	if length != s.Length || sum != s.Sum {
		return fmt.Errorf("the list has %d cells of %#x, and the shelf says %d of %#x", length, sum, s.Length, s.Sum)
	}
	return nil
}
