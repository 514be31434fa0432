// Package escapes keeps borrowed memory beyond its transaction, beside twins that don't.
package escapes

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/safevma/safevma/pmem"
)

type node struct {
	Count int64
	Flags [4]uint8
	Next  pmem.Ref[node]
}

var (
	last  *node
	table = map[string]*node{}
	ctx   = context.Background()
)

type store struct {
	pool    *pmem.Pool
	current *node
	list    []*node
	name    []byte
	cache   map[int]*node
}

func (s *store) keeps(r pmem.Ref[node], b pmem.Ref[pmem.Bytes], c chan *node) error {
	var kept *node
	var list []*node
	var flag *uint8
	var count int64
	var text []byte
	err := s.pool.View(ctx, func(tx *pmem.Tx) error {
		n, err := pmem.Borrow(tx, r)
		if err != nil {
			return err
		}
		kept = n               // want `borrowed memory is kept in a variable from outside of the transaction: it is valid until the transaction ends`
		list = append(list, n) // want `kept in a variable from outside of the transaction`
		flag = &n.Flags[1]     // want `kept in a variable from outside of the transaction`
		last = n               // want `kept in a global variable`
		table["n"] = n         // want `kept in a global variable`
		s.current = n          // want `kept behind a parameter of the function`
		s.list[0] = n          // want `kept behind a parameter of the function`
		s.cache[1] = n         // want `kept behind a parameter of the function`
		c <- n                 // want `sent on a channel`
		select {
		case c <- n: // want `sent on a channel`
		default:
		}
		s.name, err = pmem.BorrowBytes(tx, b) // want `kept behind a parameter of the function`
		count = n.Count
		text, err = pmem.AppendBytes(tx, b, nil)
		return err
	})
	fmt.Println(kept, list, flag, count, text)
	return err
}

func (s *store) keepsCopies(r pmem.Ref[node], c chan node) error {
	var kept node
	var ref pmem.Ref[node]
	var count *int64
	err := s.pool.View(ctx, func(tx *pmem.Tx) error {
		var best *node
		var all []*node
		byCount := map[int64]*node{}
		var it struct {
			node *node
			sum  int64
		}
		visit := func(r pmem.Ref[node]) (*node, error) {
			n, err := pmem.Borrow(tx, r)
			if err == nil && (best == nil || n.Count > best.Count) {
				best = n
				all = append(all, n)
				byCount[n.Count] = n
				it.node = n
			}
			return n, err
		}
		n, err := visit(r)
		if err != nil {
			return err
		}
		kept, ref = *n, n.Next
		made := newLookup(n)
		count = &made.count
		put := func(to *lookup, n *node) { to.n = n }
		var local lookup
		put(&local, n)
		c <- *best
		return nil
	})
	fmt.Println(kept, ref, count)
	return err
}

func helper(tx *pmem.Tx, r pmem.Ref[node]) (*node, error) {
	n, err := pmem.Borrow(tx, r)
	return n, err
}

func remember(n *node)         { last = n }
func (s *store) hold(n *node)  { s.current = n }
func (s *store) count(n *node) { fmt.Println(n.Count) }

func (s *store) calls(tx *pmem.Tx, r pmem.Ref[node]) {
	n, _ := helper(tx, r)
	remember(n) // want `borrowed memory is passed to remember, which keeps it`
	s.hold(n)   // want `borrowed memory is passed to hold, which keeps it`
	s.count(n)
	remember(&node{})
}

func read[R any](p *pmem.Pool, fn func(tx *pmem.Tx) (R, error)) (out R, err error) {
	err = p.View(ctx, func(tx *pmem.Tx) error {
		out, err = fn(tx)
		return err
	})
	return
}

type lookup struct {
	n     *node
	count int64
}

func newLookup(n *node) *lookup { return &lookup{n: n} }

func returns(p *pmem.Pool, r pmem.Ref[node]) {
	_, _ = read(p, func(tx *pmem.Tx) (*node, error) {
		return pmem.Borrow(tx, r) // want `borrowed memory is returned from its transaction`
	})
	_, _ = read(p, func(tx *pmem.Tx) (lookup, error) {
		n, err := pmem.Borrow(tx, r)
		return lookup{n: n}, err // want `borrowed memory is returned from its transaction`
	})
	_, _ = read(p, func(tx *pmem.Tx) (node, error) {
		n, err := pmem.Borrow(tx, r)
		if err != nil {
			return node{}, err
		}
		return *n, nil
	})
	_ = p.View(ctx, func(tx *pmem.Tx) error {
		find := func(tx *pmem.Tx, r pmem.Ref[node]) (*node, error) { return pmem.Borrow(tx, r) }
		n, err := find(tx, r)
		if err == nil {
			n, err = try(tx, r, func(tx *pmem.Tx, r pmem.Ref[node]) (*node, error) { return pmem.Borrow(tx, r) })
		}
		if err != nil {
			return fmt.Errorf("no node: %w", err)
		}
		if n.Count == 0 {
			return errors.New("empty")
		}
		return nil
	})
}

func try(tx *pmem.Tx, r pmem.Ref[node], find func(*pmem.Tx, pmem.Ref[node]) (*node, error)) (*node, error) {
	return find(tx, r)
}

func goroutines(tx *pmem.Tx, r pmem.Ref[node], group *sync.WaitGroup) {
	n, _ := pmem.Borrow(tx, r)
	go remember(n) // want `borrowed memory is used in another goroutine` `borrowed memory is passed to remember`
	go func() {    // want `borrowed memory is used in another goroutine`
		fmt.Println(n.Count)
	}()
	group.Go(func() { fmt.Println(n.Count) }) // want `borrowed memory is used in another goroutine`
	count := n.Count
	go func() { fmt.Println(count) }()
	defer func() { fmt.Println(n.Count) }()
}
