// Package same has the layouts of its lock file.
package same

import (
	"time"

	"github.com/safevma/safevma/pmem"
)

type account struct {
	ID      uint64
	Owner   [16]byte
	Balance int64
	Open    bool
	_       [3]byte
	State   state
	_       uint16
	History [2]entry
	Next    pmem.Ref[account]
	Text    pmem.Ref[pmem.Bytes]
}

type entry struct {
	At     time.Duration
	Amount int32
}

type state uint16

type pair[T any] struct{ A, B T }

func uses(tx *pmem.Tx, r pmem.Ref[account]) {
	_ = pmem.Register[pair[entry]]()
	_ = pmem.Register[pair[uint32]]()
	_ = pmem.Register[time.Duration]()
	_ = pmem.Register[uint64]()
}
