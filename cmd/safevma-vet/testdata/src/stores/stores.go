// Package stores stores through borrowed memory, in each way, beside twins that may.
package stores

import (
	"encoding/binary"
	"io"
	"slices"
	"sync/atomic"

	"github.com/safevma/safevma/pmem"
)

type point struct{ X, Y int64 }

type node struct {
	Count  int64
	Flags  [4]uint8
	At     point
	Way    [3]point
	Shared atomic.Uint64
	Next   pmem.Ref[node]
}

func (n *node) bump()      { n.Count++ }
func (n *node) sum() int64 { return n.Count + n.At.X }
func (p *point) move()     { p.X++ }
func (p point) moved() point {
	p.X++
	return p
}

func direct(tx *pmem.Tx, r pmem.Ref[node]) error {
	n, err := pmem.Borrow(tx, r)
	if err != nil {
		return err
	}
	n.Count = 1                 // want `store through borrowed memory: it is read-only`
	n.Count += 2                // want `store through borrowed memory`
	n.Count++                   // want `store through borrowed memory`
	n.Flags[2] = 1              // want `store through borrowed memory`
	n.At.X = 3                  // want `store through borrowed memory`
	n.Way[1].Y = 4              // want `store through borrowed memory`
	*n = node{}                 // want `store through borrowed memory`
	n.At = point{1, 2}          // want `store through borrowed memory`
	n.Count, n.At.Y = n.At.Y, 2 // want `store through borrowed memory`
	for n.Count = range 3 {     // want `store through borrowed memory`
	}
	for _, n.Flags[0] = range n.Flags { // want `store through borrowed memory`
	}
	return nil
}

func directCopies(tx *pmem.Tx, r pmem.Ref[node]) error {
	n, err := pmem.Get(tx, r)
	if err != nil {
		return err
	}
	n.Count = 1
	n.Way[1].Y = 4
	p := &n
	p.Count++
	b, err := pmem.Borrow(tx, r)
	if err != nil {
		return err
	}
	at := b.At
	at.X = b.Count
	way := b.Way
	way[0].X++
	for _, w := range b.Way {
		w.X = 1
	}
	b = &n
	b.Count = 2
	return pmem.Set(tx, r, n)
}

func aliases(tx *pmem.Tx, r pmem.Ref[node], other bool) {
	n, _ := pmem.Borrow(tx, r)
	m := n
	m.Count = 1 // want `store through borrowed memory`
	at := &n.At
	at.X = 2 // want `store through borrowed memory`
	x := &at.X
	*x = 3 // want `store through borrowed memory`
	way := n.Way[:]
	way[0].X = 4 // want `store through borrowed memory`
	for i := range way {
		way[i] = point{} // want `store through borrowed memory`
	}
	var own node
	p := &own
	if other {
		p = n
	}
	p.Count = 5 // want `store through borrowed memory`
	func() {
		n.Count = 6 // want `store through borrowed memory`
	}()
	set := func(n *node) { n.Count = 7 } // want `store through borrowed memory`
	set(n)
	list := []*node{n}
	list[0].Count = 8 // want `store through borrowed memory`
	for _, e := range list {
		e.Count = 9 // want `store through borrowed memory`
	}
	byName := map[string]*node{"n": n}
	byName["n"].Count = 10 // want `store through borrowed memory`
	var box any = n
	box.(*node).Count = 11 // want `store through borrowed memory`
	held := holder{borrowed: n, own: &own}
	held.borrowed.Count = 12 // want `store through borrowed memory`
	more := append([]*node(nil), n)
	more[0].Count = 13 // want `store through borrowed memory`
	made := newHolder(n)
	made.borrowed.Count = 14 // want `store through borrowed memory`
	for _, e := range byName {
		e.Count = 15 // want `store through borrowed memory`
	}
	(*newHolder(n)).borrowed.Count = 16    // want `store through borrowed memory`
	holding(n).borrowed.Count = 17         // want `store through borrowed memory`
	both(n)[0].Count = 18                  // want `store through borrowed memory`
	boxed(n).(*holder).borrowed.Count = 19 // want `store through borrowed memory`
}

type holder struct {
	borrowed *node
	own      *node
	buffer   []byte
	used     int
}

func holding(n *node) holder { return holder{borrowed: n} }

func boxed(n *node) any { return &holder{borrowed: n} }

func both(n *node) [2]*node { return [2]*node{n, n} }

func newHolder(n *node) *holder { return &holder{borrowed: n} }

func (h *holder) note(b byte) { h.buffer[0], h.used = b, 1 }

func aliasesOfOwn(tx *pmem.Tx, r pmem.Ref[node]) {
	n, _ := pmem.Borrow(tx, r)
	var own node
	held := holder{borrowed: n, own: &own, buffer: make([]byte, 8)}
	held.own.Count = 1
	held.buffer[0] = 1
	held.used++
	held.note(2)
	held.borrowed = nil
	count := func(h *holder) { h.used++ }
	count(&held)
	func() { held.used++ }()
	list := []*node{n}
	list[0] = &own
	list = append(list, n)
	set := func(n *node) { n.Count = 7 }
	set(&own)
	made := newHolder(n)
	made.used++
	made.note(1)
	boxed(n).(*holder).used++
	*boxed(n).(*holder) = holder{}
	more := append([]holder(nil), held)
	more[0].used++
	v := n.At.moved()
	v.X = 1
}

func calls(tx *pmem.Tx, r pmem.Ref[node]) {
	n, _ := pmem.Borrow(tx, r)
	n.bump()                     // want `borrowed memory is passed to bump, which stores through it`
	n.At.move()                  // want `borrowed memory is passed to move, which stores through it`
	(*node).bump(n)              // want `borrowed memory is passed to bump, which stores through it`
	reset(n)                     // want `borrowed memory is passed to reset, which stores through it`
	resetTwice(n)                // want `borrowed memory is passed to resetTwice, which stores through it`
	fill(n.Way[:])               // want `borrowed memory is passed to fill, which stores through it`
	zero(&n.At)                  // want `borrowed memory is passed to zero, which stores through it`
	zeroAny(n)                   // want `borrowed memory is passed to zeroAny, which stores through it`
	first(n).X = 1               // want `store through borrowed memory`
	defer n.bump()               // want `borrowed memory is passed to bump, which stores through it`
	n.Shared.Store(1)            // want `borrowed memory is passed to Store, which stores through it`
	atomic.AddInt64(&n.Count, 1) // want `borrowed memory is passed to AddInt64, which stores through it`
	bump := n.bump
	bump() // want `borrowed memory is passed to bump, which stores through it`
	m, _ := lent(tx, r)
	m.Count = 1   // want `store through borrowed memory`
	recurse(n, 3) // want `borrowed memory is passed to recurse, which stores through it`
}

func callsThatRead(tx *pmem.Tx, r pmem.Ref[node]) int64 {
	n, _ := pmem.Borrow(tx, r)
	var own node
	own.bump()
	reset(&own)
	fill(own.Way[:])
	into(&own, n)
	_ = n.Shared.Load()
	return n.sum() + total(n.Way[:]) + first(n).X
}

func reset(n *node)      { n.Count = 0 }
func resetTwice(n *node) { reset(n) }
func into(dst, src *node) {
	dst.Count = src.Count
	dst.At = src.At
}
func first(n *node) *point { return &n.Way[0] }
func fill[T any](list []T) {
	var v T
	for i := range list {
		list[i] = v
	}
}
func zero[T any](p *T) { *p = *new(T) }
func zeroAny(v any) {
	if n, ok := v.(*node); ok {
		n.Count = 0
	}
}
func total(list []point) (sum int64) {
	for i := range list {
		sum += list[i].X
	}
	return sum
}
func lent(tx *pmem.Tx, r pmem.Ref[node]) (*node, error) { return pmem.Borrow(tx, r) }
func recurse(n *node, depth int) {
	if depth == 0 {
		n.Count = 0
		return
	}
	recurse(n, depth-1)
}

func bytes(tx *pmem.Tx, r pmem.Ref[pmem.Bytes], in io.Reader) error {
	b, err := pmem.BorrowBytes(tx, r)
	if err != nil {
		return err
	}
	b[0] = 1                                // want `store through borrowed memory`
	b[2:4][1] ^= 1                          // want `store through borrowed memory`
	copy(b, "x")                            // want `copy stores through borrowed memory`
	copy(b[4:], b)                          // want `copy stores through borrowed memory`
	clear(b)                                // want `clear stores through borrowed memory`
	_ = append(b, 1)                        // want `append may store through borrowed memory`
	_ = append(b[:0], 1)                    // want `append may store through borrowed memory`
	slices.Sort(b)                          // want `borrowed memory is passed to Sort, which stores through it`
	binary.LittleEndian.PutUint64(b, 1)     // want `borrowed memory is passed to PutUint64, which stores through it`
	_, err = in.Read(b)                     // want `borrowed memory is passed to Read, which stores through it`
	_, err = io.ReadFull(in, b)             // want `borrowed memory is passed to ReadFull, which stores through it`
	_, err = pmem.AppendBytes(tx, r, b[:0]) // want `borrowed memory is passed to AppendBytes, which stores through it`
	err = pmem.ReadBytes(tx, r, 0, b)       // want `borrowed memory is passed to ReadBytes, which stores through it`
	for i := range b {
		b[i]++ // want `store through borrowed memory`
	}
	slices.Clip(b)[0] = 1 // want `store through borrowed memory`
	header := (*[8]byte)(b)
	header[0] = 1 // want `store through borrowed memory`
	return err
}

func bytesCopied(tx *pmem.Tx, r pmem.Ref[pmem.Bytes], out io.Writer) error {
	b, err := pmem.BorrowBytes(tx, r)
	if err != nil {
		return err
	}
	c := append([]byte(nil), b...)
	c[0] = 1
	d := slices.Clone(b)
	d[0] = 1
	e := append(b[:0:0], b...)
	e[0] = 1
	_ = append(b[:4:4], 1)
	var head [8]byte
	copy(head[:], b)
	head[0] = 1
	s := []byte(string(b))
	s[0] = 1
	if binary.LittleEndian.Uint64(b) == 0 {
		_, err = out.Write(b)
	}
	own, err := pmem.AppendBytes(tx, r, nil)
	own[0] = 1
	return err
}

func onPurpose(tx *pmem.Tx, r pmem.Ref[node]) {
	n, _ := pmem.Borrow(tx, r)
	//safevma:allow the test of the fault
	n.Count = 1
	n.Count = 2 //safevma:allow the test of the fault
	//safevma:allow
	n.Count = 3 // want `store through borrowed memory`
}

var handler = func(tx *pmem.Tx, r pmem.Ref[node]) {
	n, _ := pmem.Borrow(tx, r)
	n.Count = 1 // want `store through borrowed memory`
}
