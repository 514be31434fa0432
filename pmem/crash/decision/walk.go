package decision

import (
	"slices"
	"sort"

	"github.com/safevma/safevma/pmem/crash/state"
)

// Visitor is what a walk needs, and what it reports.
type Visitor[T any] struct {
	// Run recovers the image that has the given version of each cell. It returns what was
	// read, and what came of it.
	Run func(picks []int) ([]Read, T, error)
	// Leaf is called for each outcome, once a walk, with the versions of each cell that it
	// stands for: those images, the product of the versions, are dealt with. The slices are
	// lent.
	Leaf func(outcome T, versions [][]int) error
	// MaxBytes bounds the tree: beyond it, what was walked is forgotten, and is recovered
	// again when another walk comes by. Zero is no bound.
	MaxBytes int
}

// Walk visits the images of one box. Each leaf is reported once.
type Walk[T any] struct {
	tree     *Tree[T]
	box      Box
	cells    []*state.Cell
	visitor  Visitor[T]
	versions [][]int
	picks    []int // the one image to follow, or nil for all
	serial   int
	forgot   bool
}

// Walk begins the visit of a box. One walk is over before the next one begins.
func (t *Tree[T]) Walk(box Box, v Visitor[T]) *Walk[T] {
	t.serial++
	return &Walk[T]{tree: t, box: box, cells: box.Cells(), visitor: v, serial: t.serial}
}

// All visits all images, until an error.
func (w *Walk[T]) All() error { return w.from(nil) }

// One visits one image, and with it all that have the same outcome for the same reason. It
// reports false where it can't tell any more which leaves it has reported, since some are
// forgotten.
func (w *Walk[T]) One(picks []int) (ok bool, err error) {
	if w.forgot {
		return false, nil
	}
	w.visitor.MaxBytes = 0
	return true, w.from(picks)
}

func (w *Walk[T]) from(picks []int) error {
	w.picks, w.versions = picks, w.versions[:0]
	for _, c := range w.cells {
		all := make([]int, len(c.Versions))
		for i := range all {
			all[i] = i
		}
		w.versions = append(w.versions, all)
	}
	return w.node(&w.tree.root)
}

func (w *Walk[T]) node(at **node[T]) error {
	if *at == nil {
		if err := w.run(); err != nil {
			return err
		}
	}
	n := *at
	if n == nil {
		return ErrPath // the recovery just run did not pass here, though it read the same
	}
	if n.leaf == nil {
		return w.read(n)
	}
	if n.leaf.serial == w.serial {
		return nil
	}
	n.leaf.serial = w.serial
	return w.visitor.Leaf(n.leaf.Outcome, w.versions)
}

// run recovers an image that has all that was decided so far.
func (w *Walk[T]) run() error {
	picks := w.picks
	if picks == nil {
		picks = make([]int, len(w.versions))
		for i, v := range w.versions {
			picks[i] = v[0]
		}
	}
	path, outcome, err := w.visitor.Run(picks)
	if err != nil {
		return err
	}
	return w.tree.insert(path, outcome)
}

// read takes each content that the node's read may find.
func (w *Walk[T]) read(n *node[T]) error {
	var data [Block]byte
	copy(data[:], w.box.Base[n.off:n.off+int64(n.len)])
	return w.layer(n, 0, 0, data[:n.len])
}

// layer decides the cells of layer l, whose first one is cell number base, and goes on with
// those above.
func (w *Walk[T]) layer(n *node[T], l, base int, data []byte) error {
	if l == len(w.box.Layers) {
		return w.below(n, data)
	}
	cells := w.box.Layers[l]
	i := sort.Search(len(cells), func(i int) bool { return cells[i].Off+int64(cells[i].Len) > n.off })
	return w.decide(n, l, base, i, data)
}

// decide decides the cells of a layer, from i on, that the read overlaps.
func (w *Walk[T]) decide(n *node[T], l, base, i int, data []byte) error {
	cells := w.box.Layers[l]
	if i == len(cells) || cells[i].Off >= n.off+int64(n.len) {
		return w.layer(n, l+1, base+len(cells), data)
	}
	c, number := cells[i], base+i
	from, to := max(c.Off, n.off), min(c.Off+int64(c.Len), n.off+int64(n.len))
	open := w.versions[number]
	defer func() { w.versions[number] = open }()
	for _, group := range groups(c, open, int(from-c.Off), int(to-c.Off), data[from-n.off:]) {
		if w.picks != nil && !slices.Contains(group, w.picks[number]) {
			continue
		}
		w.versions[number] = group
		var under [Block]byte
		copy(under[:], data)
		c.Versions[group[0]].Put(under[from-n.off:], int(from-c.Off), int(to-c.Off))
		if err := w.decide(n, l, base, i+1, under[:n.len]); err != nil {
			return err
		}
	}
	return nil
}

func (w *Walk[T]) below(n *node[T], data []byte) error {
	at := n.find(data)
	if at == nil {
		at = w.tree.grow(n, string(data))
	}
	if err := w.node(at); err != nil {
		return err
	}
	if w.visitor.MaxBytes > 0 && w.tree.bytes > w.visitor.MaxBytes {
		if at = n.find(data); at != nil {
			w.tree.bytes -= w.tree.size(*at)
			*at, w.forgot = nil, true
		}
	}
	return nil
}

// groups parts versions by what they leave in a part of the cell. What writes a byte that is
// there already and what leaves it alone are one: a recovery that stores again all that it read
// has one image, not 2 for each word.
func groups(c *state.Cell, versions []int, from, to int, below []byte) [][]int {
	if len(versions) == 1 {
		return [][]int{versions}
	}
	var all [][]int
	for _, v := range versions {
		i := 0
		for i < len(all) && !c.Versions[all[i][0]].Same(c.Versions[v], from, to, below) {
			i++
		}
		if i == len(all) {
			all = append(all, nil)
		}
		all[i] = append(all[i], v)
	}
	return all
}
