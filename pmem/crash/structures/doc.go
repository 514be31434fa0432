// Package structures holds small persistent structures as others have designed them, each
// with a bug that was published and with the bug mended: what package crash is for, and
// examples of how a structure that knows nothing of pools is explored.
//
//	structure   after                                  the bug
//	BitLog      a log with valid bits                  one fence for the record and its bit
//	Level       Level hashing (OSDI 2018)              Witcher 7 to 16 (SOSP 2021): tokens before slots, two tokens
//	Node4       the node N4 of P-ART (RECIPE, 2019)    Witcher 27: four stores to one line taken as one
//	Link        FAST & FAIR (FAST 2018)                Witcher 5: a split that is not atomic, and no recovery
//
// They are written anew from the published descriptions, as small as the bug allows.
package structures

import (
	"errors"

	"github.com/safevma/safevma/pmem/medium"
)

// class of all stores here: they don't tell them apart.
const class = medium.Unclassed

// store8 stores a word and makes it durable.
func store8(m *medium.Medium, off int64, v uint64) error {
	return errors.Join(m.Store8(off, v, class), m.Persist(off, 8))
}

// load8s reads words that stand one behind the other.
func load8s(m *medium.Medium, off int64, words ...*uint64) error {
	for i, w := range words {
		v, err := m.Load8(off + int64(i)*8)
		if err != nil {
			return err
		}
		*w = v
	}
	return nil
}
