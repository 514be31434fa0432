// Package required has no lock file, and is asked for one.
package required // want `the package keeps types in pools \(account\) and has no pmem.layout: run safevma-vet -layout.update, and commit it`

import "github.com/safevma/safevma/pmem"

type account struct{ Balance int64 }

func uses(tx *pmem.Tx) { _, _ = pmem.Alloc(tx, account{}) }
