package medium

import (
	"fmt"
	"os"
)

// NewVolatile returns a medium of zeros that ends with the process: for structures that want
// transactions without durability, and for tests. It can be extended to most bytes.
//
// In a program built with -race it lives on the Go heap and is written with ordinary Go
// stores, since the race detector does not see mapped memory.
func NewVolatile(size, most int64) (*Medium, error) {
	if size%Word != 0 || most%Word != 0 {
		return nil, fail("new volatile medium", 0, size, ErrAlign)
	}
	if size < 0 || most < size {
		return nil, fail("new volatile medium", 0, size, fmt.Errorf("%w of at most %d bytes", ErrRange, most))
	}
	m := &Medium{way: volatile}
	m.info = Info{Kind: Volatile, Domain: "none: it ends with the process", Found: "asked for", Unit: unitOf(Volatile), Atom: Word,
		PageSize: os.Getpagesize(), Node: -1, ThreadNode: -1}
	memory := make([]byte, most)
	m.alias, m.view = memory, memory
	m.size.Store(size)
	return m, nil
}
