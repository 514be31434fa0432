package pool

import (
	"errors"
	"fmt"

	"github.com/safevma/safevma/region"
)

// What is wrong, for errors.Is, beside the errors of package region: region.ErrClosed for a closed
// pool, region.ErrCorrupt for bytes that were written where nothing was handed out, region.ErrSize
// for a secret that no slot is for, and those of its arenas.
var (
	// ErrFull reports a pool that has no place left for a secret, and may or can not grow. It
	// wraps the error of the region (region.ErrLimit) where the limit for locked memory was the cause.
	ErrFull = errors.New("the pool is full")
	// ErrQuota reports an owner that has used up its quota.
	ErrQuota = errors.New("the quota of the owner is used up")
	// ErrFreed reports the use of a secret that was freed, or its second Free.
	ErrFreed = errors.New("the secret was freed")
	// ErrInUse reports a secret that is being read or written, and so can't be freed.
	ErrInUse = errors.New("the secret is in use")
	// ErrWindowed reports that bytes can't be lent without a window.
	ErrWindowed = errors.New("the pool is open in windows alone: use Read or Write")
)

// CorruptError is a region.ErrCorrupt at a place: something was written there that nothing was
// handed out of.
type CorruptError struct {
	Arena  int    // number of the arena, from 0
	Offset int    // in it, in bytes: of the first byte that is not what it was
	What   string // is there: "behind a secret", "before a secret", "in a free slot", "in a free page"
	Owner  string // of the secret beside it, where there is one
}

func (e *CorruptError) Error() string {
	of := ""
	if e.Owner != "" {
		of = fmt.Sprintf(" of %q", e.Owner)
	}
	return fmt.Sprintf("pool: %v: written %s%s, at byte %d of arena %d", region.ErrCorrupt, e.What, of, e.Offset, e.Arena)
}

// Unwrap returns region.ErrCorrupt.
func (e *CorruptError) Unwrap() error { return region.ErrCorrupt }

func failed(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("pool: %s: %w", op, err)
}
