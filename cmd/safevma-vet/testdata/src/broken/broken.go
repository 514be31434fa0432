// Package broken has a lock file that can't be read.
package broken // want `pmem.layout can't be read: line 2: 3 columns instead of 5`

import "github.com/safevma/safevma/pmem"

type account struct{ Balance int64 }

func uses(tx *pmem.Tx) { _, _ = pmem.Alloc(tx, account{}) }
