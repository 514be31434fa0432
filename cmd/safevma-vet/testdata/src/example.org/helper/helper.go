// Package helper does not know package pmem.
package helper

// Kept is what was kept.
var Kept []byte

func Zero(b []byte) { // want Zero:`stores \[0\]`
	for i := range b {
		b[i] = 0
	}
}

func Sum(b []byte) (n int) {
	for _, c := range b {
		n += int(c)
	}
	return n
}

func Keep(b []byte) { Kept = b } // want Keep:`keeps \[0\]`

func Tail(b []byte) []byte { return b[1:] } // want Tail:`passes \[\[0 0\]\]`

// Clock has a method that stores and one that doesn't.
type Clock struct{ ticks int64 }

func (c *Clock) Tick()       { c.ticks++ } // want Tick:`stores \[0\]`
func (c *Clock) Time() int64 { return c.ticks }

// Pair is generic.
type Pair[T any] struct{ A, B T }

func (p *Pair[T]) Swap() { p.A, p.B = p.B, p.A } // want Swap:`stores \[0\]`

// List moves what is behind it.
type List struct{ head *item }

type item struct {
	next *item
	text []byte
}

func (l *List) Drop() { l.head = l.head.next }

func (l *List) Put(b []byte) { l.head = &item{text: b} } // want Put:`keeps \[1\]`
