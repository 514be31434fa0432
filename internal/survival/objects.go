package survival

import "github.com/safevma/safevma/pmem"

const (
	accounts = 12
	deposit  = 1 << 20 // in each account at first
	shelves  = 4
	blobs    = 8  // on a shelf
	longest  = 64 // cells of a list
	// Workers is how many goroutines a workload has.
	Workers = 6
)

type account struct{ Balance int64 }

type counter struct{ Count uint64 }

// cell is an element of a list.
type cell struct {
	Value uint64
	Next  pmem.Ref[cell]
	Pad   [3]uint64
}

// shelf has a list and blobs. All workers change all shelves.
type shelf struct {
	Head        pmem.Ref[cell]
	Length, Sum uint64
	Blobs       [blobs]pmem.Ref[pmem.Bytes]
	Labels      [blobs]label
}

// label says what a blob is.
type label struct {
	Seed      uint64
	Size      uint32
	Immutable uint32 // or 0
	Changes   uint64 // of its cells, altogether
}

// ledger is what the root refers to.
type ledger struct {
	Accounts [accounts]pmem.Ref[account]
	Counters [Workers]pmem.Ref[counter]
	Shelves  [shelves]pmem.Ref[shelf]
}

const rootName = "ledger"

// found makes the ledger where there is none.
func found(tx *pmem.Tx) (l ledger, err error) {
	root, err := pmem.Root[ledger](tx, rootName)
	if err != nil {
		return l, err
	}
	if !root.IsNil() {
		return pmem.Get(tx, root)
	}
	for i := range l.Accounts {
		if l.Accounts[i], err = pmem.Alloc(tx, account{deposit}); err != nil {
			return l, err
		}
	}
	for i := range l.Counters {
		if l.Counters[i], err = pmem.Alloc(tx, counter{}); err != nil {
			return l, err
		}
	}
	for i := range l.Shelves {
		if l.Shelves[i], err = pmem.Alloc(tx, shelf{}); err != nil {
			return l, err
		}
	}
	if root, err = pmem.Alloc(tx, l); err != nil {
		return l, err
	}
	return l, pmem.SetRoot(tx, rootName, root)
}
