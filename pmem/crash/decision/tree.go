// Package decision tells which images have the same outcome.
//
// A deterministic recovery is a function of the bytes that it reads. A [Tree] keeps, for
// each recovery that ran, what it read in order, and what came of it. To visit all images of
// a product ([Walk.All]) it is walked once: where a node reads a part that a failure left
// open, the walk takes each of the contents in turn; where it reads a part that is settled,
// there is one way on. Whoever arrives at a leaf has dealt with all images that differ in
// bytes nobody read. Only where the tree ends is a recovery run.
//
// The idea of resolving only what is read is that of Jaaru (ASPLOS 2021) and Vinter (ATC
// 2022).
package decision

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/safevma/safevma/pmem/crash/state"
)

// Block bounds what one read of a path covers: it lies in one aligned block of that size.
const Block = 64

// Read is a part of the image that a recovery read, and what it found there. A path names
// each byte once.
type Read struct {
	Off  int64
	Data string
}

// ErrPath reports a recovery that read something else than one before it did that had read
// the same until then.
var ErrPath = errors.New("recovery is not deterministic")

// Tree maps what is read to outcomes.
type Tree[T any] struct {
	// Size returns the bytes of an outcome. Nil is for outcomes that take next to nothing.
	Size   func(T) int
	root   *node[T]
	bytes  int
	serial int
}

// What a node, an edge and a leaf take beside what they hold, with what the allocator adds.
const (
	nodeBytes = 64
	edgeBytes = 40
)

// node is a read, or a leaf.
type node[T any] struct {
	off      int64
	len      int
	children []edge[T]
	leaf     *Leaf[T]
}

type edge[T any] struct {
	data string
	to   *node[T]
}

// Leaf is an outcome.
type Leaf[T any] struct {
	Outcome T
	serial  int
}

// Bytes returns what the tree takes, roughly.
func (t *Tree[T]) Bytes() int { return t.bytes }

// Forget empties the tree.
func (t *Tree[T]) Forget() { t.root, t.bytes = nil, 0 }

// insert adds a path.
func (t *Tree[T]) insert(path []Read, outcome T) error {
	at := &t.root
	for i, read := range path {
		if *at == nil {
			*at = &node[T]{off: read.Off, len: len(read.Data)}
			t.bytes += nodeBytes
		}
		n := *at
		if n.leaf != nil || n.off != read.Off || n.len != len(read.Data) {
			return fmt.Errorf("%w: read %d is of %d bytes at %d, but before it was of %d bytes at %d", ErrPath, i, len(read.Data), read.Off, n.len, n.off)
		}
		if at = n.child(read.Data); at == nil {
			at = t.grow(n, read.Data)
		}
	}
	if *at != nil {
		return fmt.Errorf("%w: it stopped reading after %d reads, and did not before", ErrPath, len(path))
	}
	*at = &node[T]{leaf: &Leaf[T]{Outcome: outcome}}
	t.bytes += t.leafBytes(outcome)
	return nil
}

// grow adds an edge. The data is often a part of a larger string, which it must not keep.
func (t *Tree[T]) grow(n *node[T], data string) **node[T] {
	n.children = append(n.children, edge[T]{data: strings.Clone(data)})
	t.bytes += edgeBytes + len(data)
	return &n.children[len(n.children)-1].to
}

func (t *Tree[T]) leafBytes(outcome T) int {
	if t.Size == nil {
		return 2 * nodeBytes
	}
	return 2*nodeBytes + t.Size(outcome)
}

func (n *node[T]) child(data string) **node[T] {
	for i := range n.children {
		if n.children[i].data == data {
			return &n.children[i].to
		}
	}
	return nil
}

// find is child without making a string.
func (n *node[T]) find(data []byte) **node[T] {
	for i := range n.children {
		if n.children[i].data == string(data) {
			return &n.children[i].to
		}
	}
	return nil
}

// size is what the tree takes from a node on.
func (t *Tree[T]) size(n *node[T]) int {
	switch {
	case n == nil:
		return 0
	case n.leaf != nil:
		return t.leafBytes(n.leaf.Outcome)
	}
	total := nodeBytes
	for _, e := range n.children {
		total += edgeBytes + len(e.data) + t.size(e.to)
	}
	return total
}

// Box is a product of images: a base, and layers of cells over it. The cells of one layer
// do not overlap and are sorted by offset; what a layer writes covers those before it.
type Box struct {
	Base   []byte
	Layers [][]*state.Cell
}

// Cells returns all cells. Picks and versions are in this order.
func (b Box) Cells() []*state.Cell { return slices.Concat(b.Layers...) }

// Random returns one image of the box: a version for each cell.
func (b Box) Random(r *rand.Rand) []int {
	var picks []int
	for _, c := range b.Cells() {
		picks = append(picks, r.IntN(len(c.Versions)))
	}
	return picks
}
