package same

import "github.com/safevma/safevma/pmem"

// Types that tests alone keep have no pools that outlive them.
type inTests struct{ A uint8 }

func usesInTests(tx *pmem.Tx) { _ = pmem.Register[inTests]() }
