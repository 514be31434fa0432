package structures

import (
	"errors"
	"fmt"
	"strings"

	"github.com/safevma/safevma/pmem/medium"
)

// Node4 is the smallest node of P-ART, the persistent radix tree of RECIPE (Lee et al., SOSP
// 2019): four keys of one byte, and four children.
//
//	0     the number of children; with the bug, at 4, the same again
//	8     keys, a byte each
//	16    children, a word each; 0 is none
//
// All of it is one line, so that one flush is enough. But a line keeps its stores in order; it
// does not make them one.
type Node4 struct {
	// ByChild is the bug (Witcher 27): a lookup goes by keys and children, a scan by the number
	// of children, and each of them may be ahead of the other after a crash.
	ByChild bool

	m *medium.Medium
}

// OpenNode4 opens a node, or an empty medium. There is nothing to recover.
func OpenNode4(m *medium.Medium) *Node4 { return &Node4{m: m} }

func (n *Node4) count() (int64, error) {
	v, err := n.m.Load8(0)
	return int64(v & 0xff), err
}

// Insert adds a child under a key that is not there.
func (n *Node4) Insert(key byte, child uint64) error {
	i, err := n.count()
	if err != nil {
		return err
	}
	if i == 4 {
		return errFull
	}
	err = errors.Join(n.m.Store(8+i, []byte{key}, class), n.m.Store8(16+8*i, child, class))
	if n.ByChild {
		err = errors.Join(err, n.m.Store(0, []byte{byte(i + 1)}, class), n.m.Store(4, []byte{byte(i + 1)}, class))
	} else {
		// The number comes last and decides alone.
		err = errors.Join(err, n.m.Store8(0, uint64(i+1), class))
	}
	return errors.Join(err, n.m.Persist(0, 64))
}

// Get returns the child of a key, or 0.
func (n *Node4) Get(key byte) (uint64, error) {
	most := int64(4)
	if !n.ByChild {
		var err error
		if most, err = n.count(); err != nil {
			return 0, err
		}
	}
	for i := range most {
		var keys, child uint64
		if err := errors.Join(load8s(n.m, 8, &keys), load8s(n.m, 16+8*i, &child)); err != nil {
			return 0, err
		}
		if child != 0 && byte(keys>>(8*i)) == key {
			return child, nil
		}
	}
	return 0, nil
}

// Show returns what a scan finds, and what lookups of all keys find.
func (n *Node4) Show() (string, error) {
	var b strings.Builder
	count, err := n.count()
	if err != nil {
		return "", err
	}
	for i := range min(count, 4) {
		var keys, child uint64
		if err := errors.Join(load8s(n.m, 8, &keys), load8s(n.m, 16+8*i, &child)); err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%c=%d ", byte(keys>>(8*i)), child)
	}
	b.WriteString("| ")
	for key := byte('a'); key <= 'z'; key++ {
		child, err := n.Get(key)
		if err != nil {
			return "", err
		}
		if child != 0 {
			fmt.Fprintf(&b, "%c=%d ", key, child)
		}
	}
	return b.String(), nil
}
