// Package volatile uses pools, and keeps no types of its own in them.
package volatile

import "github.com/safevma/safevma/pmem"

type account struct{ Balance int64 }

func uses(tx *pmem.Tx) { _, _ = pmem.Alloc(tx, account{}.Balance) }
