// Package unlocked has no lock file, and need not.
package unlocked

import "github.com/safevma/safevma/pmem"

type account struct{ Balance int64 }

func uses(tx *pmem.Tx) { _, _ = pmem.Alloc(tx, account{}) }

func twice(tx *pmem.Tx) {
	type local struct{ A uint8 }
	_, _ = pmem.Alloc(tx, local{})
}

func again(tx *pmem.Tx) {
	type local struct{ B uint16 } // want `another type local is kept in pools, too`
	_, _ = pmem.Alloc(tx, local{})
}
