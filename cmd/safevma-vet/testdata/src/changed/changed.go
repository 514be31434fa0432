// Package changed has other layouts than its lock file, and one that is the same. Of a type
// that is no longer there the package itself tells.
package changed // want `^removed is in pmem.layout and no longer kept in pools here`

import (
	"time"

	"github.com/safevma/safevma/pmem"
)

type same struct {
	ID  uint64
	Now bool
}

type swapped struct { // want `^the layout of swapped changed: A moved from offset 0 to 8; B moved from offset 8 to 0. Pools that exist have the old one: keep it, or make a new type and convert; then run safevma-vet -layout.update$`
	B int64
	A int64
}

type inserted struct { // want `the layout of inserted changed: it has 24 bytes, had 16; B moved from offset 8 to 16; New is new \(uint16 at 8\)\.`
	A   int64
	New uint16
	B   int64
}

type dropped struct { // want `the layout of dropped changed: it has 8 bytes, had 16; A is gone \(uint8 at 0\); B moved from offset 8 to 0\.`
	B int64
}

type renamed struct { // want `the layout of renamed changed: A is now called Count\.`
	Count int64
	B     int64
}

type other struct { // want `the layout of other changed: A is int64, was uint64\.`
	A int64
}

type longer struct { // want `the layout of longer changed: it has 12 bytes, had 8; A is \[3\]uint32, was \[2\]uint32\.`
	A [3]uint32
}

type outer struct { // want `the layout of outer changed: In.X moved from offset 8 to 12; In.Y moved from offset 12 to 8; List\[\].X moved from offset 16 to 20; List\[\].Y moved from offset 20 to 16\.`
	ID   uint64
	In   inner
	List [2]inner
}

type inner struct{ Y, X int32 }

type refers struct { // want `the layout of refers changed: To is Ref\[same\], was Ref\[other\]\.`
	To pmem.Ref[same]
}

type unused struct{ A int64 } // want `unused is in pmem.layout and no longer kept in pools here`

type added struct{ A int64 } // want `added is kept in pools and is not in pmem.layout`

type named struct { // the name of a field's type may change
	A amount
}

type amount int64

//safevma:allow pools that have it are gone
type wanted struct{ A, B int8 }

func uses(tx *pmem.Tx) {
	_ = pmem.Register[same]()
	_ = pmem.Register[swapped]()
	_ = pmem.Register[inserted]()
	_ = pmem.Register[dropped]()
	_ = pmem.Register[renamed]()
	_ = pmem.Register[other]()
	_ = pmem.Register[longer]()
	_ = pmem.Register[outer]()
	_ = pmem.Register[refers]()
	_ = pmem.Register[added]()
	_ = pmem.Register[named]()
	_ = pmem.Register[wanted]()
	_ = pmem.Register[time.Duration]() // want `the layout of time.Duration changed: it is int64, was uint64`
}
