// Package across passes borrowed memory to functions of another package.
package across

import (
	"example.org/helper"
	"github.com/safevma/safevma/pmem"
)

type node struct {
	Clock helper.Clock
	Pair  helper.Pair[uint32]
}

func uses(tx *pmem.Tx, r pmem.Ref[node], b pmem.Ref[pmem.Bytes]) {
	n, _ := pmem.Borrow(tx, r)
	n.Clock.Tick() // want `borrowed memory is passed to Tick, which stores through it`
	n.Pair.Swap()  // want `borrowed memory is passed to Swap, which stores through it`
	_ = n.Clock.Time()
	c := n.Clock
	c.Tick()
	text, _ := pmem.BorrowBytes(tx, b)
	helper.Zero(text)        // want `borrowed memory is passed to Zero, which stores through it`
	helper.Keep(text)        // want `borrowed memory is passed to Keep, which keeps it`
	helper.Tail(text)[0] = 1 // want `store through borrowed memory`
	_ = helper.Sum(text)
	helper.Zero(make([]byte, 8))
}
