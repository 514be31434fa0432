package structures

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/safevma/safevma/pmem/medium"
)

// Link is a tree of two levels after FAST & FAIR (Hwang et al., FAST 2018): leaves are linked
// to their right sibling, so that a reader finds a key also where the parent does not yet know
// of a split.
//
//	0     the root: number of the node that holds the leaves' numbers, 0 for none yet
//	256   nodes of 256 bytes, from number 1
//
//	a leaf                          the root
//	0     taken entries, a bit each 0    number of leaves
//	8     right sibling, 0 for none 64   their numbers
//	64    entries: key, value
type Link struct {
	// NoRecovery is the bug (Witcher 5): a split links the new leaf first and tells the parent
	// later. A crash between leaves a leaf without a parent for good.
	NoRecovery bool

	m    *medium.Medium
	next uint64 // node to be used next: found anew when opened, so that nothing leaks
}

const (
	nodeLen     = 256
	leafEntries = 4
	firstLeaf   = 1
)

func nodeOff(number uint64) int64 { return int64(number) * nodeLen }

// leaf is a copy of one.
type leaf struct {
	number, taken, right uint64
	keys, values         [leafEntries]uint64
}

// OpenLink opens a tree, or an empty medium.
func OpenLink(m *medium.Medium, noRecovery bool) (*Link, error) {
	t := &Link{NoRecovery: noRecovery, m: m, next: firstLeaf + 1}
	chain, err := t.chain()
	if err != nil {
		return nil, err
	}
	known, root, err := t.parents()
	if err != nil {
		return nil, err
	}
	for _, n := range append(append(chain, known...), root) {
		t.next = max(t.next, n+1)
	}
	if noRecovery || len(known) == len(chain) {
		return t, nil
	}
	return t, t.setRoot(chain)
}

func (t *Link) leaf(number uint64) (l leaf, err error) {
	l.number = number
	if err := load8s(t.m, nodeOff(number), &l.taken, &l.right); err != nil {
		return l, err
	}
	for i := range leafEntries {
		if err := load8s(t.m, nodeOff(number)+64+int64(i)*16, &l.keys[i], &l.values[i]); err != nil {
			return l, err
		}
	}
	return l, nil
}

// first is the least key of a leaf.
func (l *leaf) first() uint64 {
	least := ^uint64(0)
	for i := range leafEntries {
		if l.taken>>i&1 != 0 {
			least = min(least, l.keys[i])
		}
	}
	return least
}

// chain lists the leaves from left to right.
func (t *Link) chain() (all []uint64, err error) {
	for n := uint64(firstLeaf); n != 0; {
		if all = append(all, n); len(all) > 16 {
			return nil, errors.New("leaves are linked in a circle")
		}
		l, err := t.leaf(n)
		if err != nil {
			return nil, err
		}
		n = l.right
	}
	return all, nil
}

// parents lists the leaves that the root knows; before the first split there is one.
func (t *Link) parents() (known []uint64, root uint64, err error) {
	if err := load8s(t.m, 0, &root); err != nil || root == 0 {
		return []uint64{firstLeaf}, 0, err
	}
	var n uint64
	if err := load8s(t.m, nodeOff(root), &n); err != nil {
		return nil, 0, err
	}
	for i := range int64(min(n, 16)) {
		var number uint64
		if err := load8s(t.m, nodeOff(root)+64+i*8, &number); err != nil {
			return nil, 0, err
		}
		known = append(known, number)
	}
	return known, root, nil
}

// setRoot writes a new root and changes over to it.
func (t *Link) setRoot(leaves []uint64) error {
	root := t.next
	t.next++
	err := t.m.Store8(nodeOff(root), uint64(len(leaves)), class)
	for i, n := range leaves {
		err = errors.Join(err, t.m.Store8(nodeOff(root)+64+int64(i)*8, n, class))
	}
	return errors.Join(err, t.m.Persist(nodeOff(root), 128), store8(t.m, 0, root))
}

// Insert adds a key that is not there.
func (t *Link) Insert(key, value uint64) error {
	l, limit, err := t.locate(key)
	if err != nil {
		return err
	}
	if live := l.taken & below(&l, limit); live != l.taken { // left by a split
		if l.taken = live; store8(t.m, nodeOff(l.number), live) != nil {
			return err
		}
	}
	if bits.OnesCount64(l.taken) == leafEntries {
		if err := t.split(&l); err != nil {
			return err
		}
		return t.Insert(key, value)
	}
	i := bits.TrailingZeros64(^l.taken)
	at := nodeOff(l.number) + 64 + int64(i)*16
	return errors.Join(t.m.Store8(at, key, class), t.m.Store8(at+8, value, class), t.m.Persist(at, 16),
		store8(t.m, nodeOff(l.number), l.taken|1<<i))
}

// locate finds the leaf for a key, and the least key to its right.
func (t *Link) locate(key uint64) (l leaf, limit uint64, err error) {
	n := uint64(firstLeaf)
	for {
		if l, err = t.leaf(n); err != nil || l.right == 0 {
			return l, ^uint64(0), err
		}
		right, err := t.leaf(l.right)
		if err != nil || key < right.first() {
			return l, right.first(), err
		}
		n = l.right
	}
}

// below are the entries of a leaf whose keys are not its sibling's by now.
func below(l *leaf, limit uint64) (mask uint64) {
	for i := range leafEntries {
		if l.keys[i] < limit {
			mask |= 1 << i
		}
	}
	return mask
}

// split moves the upper half of a leaf to a new one. One store links it, and with it takes
// its keys from the old one; the next store tells the parent.
func (t *Link) split(l *leaf) error {
	sorted := slices.Sorted(slices.Values(l.keys[:]))
	middle := sorted[leafEntries/2]
	number, taken := t.next, uint64(0)
	t.next++
	var err error
	for i := range leafEntries {
		if l.keys[i] >= middle {
			at := nodeOff(number) + 64 + int64(i)*16
			err = errors.Join(err, t.m.Store8(at, l.keys[i], class), t.m.Store8(at+8, l.values[i], class))
			taken |= 1 << i
		}
	}
	err = errors.Join(err, t.m.Store8(nodeOff(number), taken, class), t.m.Store8(nodeOff(number)+8, l.right, class),
		t.m.Persist(nodeOff(number), 128), store8(t.m, nodeOff(l.number)+8, number))
	if err != nil {
		return err
	}
	known, _, err := t.parents()
	if err != nil {
		return err
	}
	if at := slices.Index(known, l.number); at >= 0 {
		return t.setRoot(slices.Insert(known, at+1, number))
	}
	return fmt.Errorf("leaf %d can't be split: %w", l.number, errOrphan)
}

// Items returns all keys and values in order.
func (t *Link) Items() (string, error) {
	var all []string
	l, limit, err := t.locate(0)
	for {
		if err != nil {
			return "", err
		}
		for i := range leafEntries {
			if l.taken&below(&l, limit)>>i&1 != 0 {
				all = append(all, fmt.Sprintf("%03d=%d", l.keys[i], l.values[i]))
			}
		}
		if l.right == 0 {
			slices.Sort(all)
			return strings.Join(all, " "), nil
		}
		l, limit, err = t.locate(limit)
	}
}

var errOrphan = errors.New("a leaf has no parent")

// Check holds the parent against the leaves.
func (t *Link) Check() error {
	chain, err := t.chain()
	if err != nil {
		return err
	}
	known, _, err := t.parents()
	if err != nil {
		return err
	}
	if !slices.Equal(chain, known) {
		return fmt.Errorf("%w: leaves %d, the root knows %d", errOrphan, chain, known)
	}
	return nil
}
