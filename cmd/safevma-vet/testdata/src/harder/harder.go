// Package harder has what is further from Borrow, and what looks like it.
package harder

import (
	"context"
	"fmt"
	"iter"
	"sort"
	"unsafe"

	"github.com/safevma/safevma/pmem"
)

type node struct {
	Count int64
	Way   [3]uint32
	Next  pmem.Ref[node]
}

// cursor lives in a transaction, and so may what it borrows.
type cursor struct {
	tx   *pmem.Tx
	node *node
	at   pmem.Ref[node]
}

func (c *cursor) next() (err error) {
	c.node, err = pmem.Borrow(c.tx, c.at)
	if err != nil {
		return err
	}
	c.at = c.node.Next
	return nil
}

func scan(tx *pmem.Tx, r pmem.Ref[node]) (sum int64, err error) {
	c := &cursor{tx: tx, at: r}
	for !c.at.IsNil() {
		if err := c.next(); err != nil {
			return 0, err
		}
		sum += c.node.Count
	}
	return sum, nil
}

func all(tx *pmem.Tx, r pmem.Ref[node]) iter.Seq[*node] {
	return func(yield func(*node) bool) {
		for !r.IsNil() {
			n, err := pmem.Borrow(tx, r)
			if err != nil || !yield(n) {
				return
			}
			r = n.Next
		}
	}
}

func last(tx *pmem.Tx, r pmem.Ref[node]) (last *node) {
	for n := range all(tx, r) {
		last = n
	}
	return last
}

func far(tx *pmem.Tx, r pmem.Ref[node], b pmem.Ref[pmem.Bytes]) {
	n, _ := pmem.Borrow(tx, r)
	*(*uint32)(unsafe.Pointer(&n.Count)) = 1 // want `borrowed memory`
	s := n.Way[:]
	sort.Slice(s, func(i, j int) bool { return s[i] < s[j] }) // want `borrowed memory`
	defer func() { n.Count = 1 }()                            // want `borrowed memory`
	t, _ := pmem.BorrowBytes(tx, b)
	p := unsafe.Slice(&t[0], 4)
	p[1] = 2 // want `borrowed memory`
	q := unsafe.SliceData(t)
	*q = 1 // want `borrowed memory`
	x, y := &n.Way[0], &n.Way[1]
	*x, *y = *y, *x // want `borrowed memory`
	var arr [2]*node
	arr[0] = n
	arr[1].Count = 1 // want `borrowed memory`
	type st struct{ a, b *node }
	v := st{a: n, b: &node{}}
	v.b.Count = 1
	v.a.Count = 1 // want `borrowed memory`
	w := v
	w.b.Count = 1
	w.a.Count = 1 // want `borrowed memory`
	pp := &n
	(*pp).Count = 1 // want `borrowed memory`
	f := func() *node { return n }
	f().Count = 1 // want `borrowed memory`
	var g func(*node)
	g = func(m *node) { m.Count = 1 } // want `borrowed memory`
	g(n)
	switch m := any(n).(type) {
	case *node:
		m.Count = 1 // want `borrowed memory`
	}
	if m, ok := any(n).(*node); ok {
		m.Count = 2 // want `borrowed memory`
	}
	for i, m := range []*node{n, {}} {
		_ = i
		m.Count++ // want `borrowed memory`
	}
}

func named(tx *pmem.Tx, r pmem.Ref[node]) (n *node, err error) {
	defer func() {
		if err != nil {
			n = nil
		}
	}()
	n, err = pmem.Borrow(tx, r)
	return
}

func outer(p *pmem.Pool, r pmem.Ref[node], b pmem.Ref[pmem.Bytes]) (out []byte, total int64, err error) {
	var scratch []byte
	var msg error
	err = p.View(context.Background(), func(tx *pmem.Tx) error {
		n, err := named(tx, r)
		if err != nil {
			return err
		}
		total += n.Count
		msg = fmt.Errorf("%v", n)
		scratch, err = pmem.AppendBytes(tx, b, scratch[:0])
		if err != nil {
			return err
		}
		t, err := pmem.BorrowBytes(tx, b)
		out = append(out[:0], t...)
		out = append(out, string(t)...)
		cp := *n
		cp.Count = 2
		keep := &cp
		keep.Count = 3
		return fmt.Errorf("x %v %v", keep, t)
	})
	return out, total, msg
}
