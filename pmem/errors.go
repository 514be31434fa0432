package pmem

import (
	"errors"
	"fmt"
)

var (
	// ErrNoPool reports a file without a valid superblock.
	ErrNoPool = errors.New("no pool here: neither superblock is valid")
	// ErrFormat reports a pool of a format or with a feature that this version does not know.
	ErrFormat = errors.New("a format that this version does not know")
	// ErrDamage reports bytes of the pool that are not what was written.
	ErrDamage = errors.New("damage")
	// ErrStale reports a reference to an object that was freed.
	ErrStale = errors.New("the object was freed")
	// ErrReference reports a reference to what is no object.
	ErrReference = errors.New("the reference is to no object")
	// ErrType reports an object, or a root, of another type than the reference says.
	ErrType = errors.New("the type is another one")
	// ErrLayout reports a type that can't be in a pool, or that changed since it was put there.
	ErrLayout = errors.New("the layout of the type")
	// ErrImmutable reports a change of an object that was declared immutable, or a loan of one
	// that was not.
	ErrImmutable = errors.New("immutable")
	// ErrFull reports a pool without space for an object.
	ErrFull = errors.New("the pool is full")
	// ErrTooBig reports a transaction that changes more than the log takes, or an object bigger
	// than a pool can hold.
	ErrTooBig = errors.New("too big")
	// ErrReadOnly reports a change in a View.
	ErrReadOnly = errors.New("the transaction only reads")
	// ErrEnded reports a transaction that is used after its function returned.
	ErrEnded = errors.New("the transaction has ended")
	// ErrNested reports a transaction within the function of another one, which runs alone and so
	// would wait for itself.
	ErrNested = errors.New("a transaction within another one that runs alone")
	// ErrOutcomeUnknown reports a commit whose sync failed: it is durable or absent, and opening
	// the pool again shows which.
	ErrOutcomeUnknown = errors.New("the outcome of the transaction is unknown")
	// ErrPoisoned reports a pool that takes no changes since a sync failed. Close it, and open it
	// again.
	ErrPoisoned = errors.New("the pool takes no changes since a sync failed: open it again")
	// ErrClosed reports a pool that is closed.
	ErrClosed = errors.New("the pool is closed")
)

// DamageError is an [ErrDamage] at a place of the pool.
type DamageError struct {
	Off  int64  // in bytes from the begin of the pool
	What string // is there, and what is wrong with it
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("damage at offset %d: %s", e.Off, e.What)
}

// Unwrap returns [ErrDamage].
func (e *DamageError) Unwrap() error { return ErrDamage }

func damaged(off int64, format string, args ...any) error {
	return &DamageError{off, fmt.Sprintf(format, args...)}
}
