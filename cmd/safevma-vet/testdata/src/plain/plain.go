// Package plain keeps types in pools that can't live there, beside twins that can.
package plain

import (
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/safevma/safevma/pmem"
)

type text struct {
	ID   uint64
	Name string
}

type account struct {
	Owner   [16]byte
	Balance int64
	Rate    float64
	Phase   complex128
	Open    bool
	History [4]entry
	Text    pmem.Ref[pmem.Bytes]
	Next    pmem.Ref[account]
	Hits    atomic.Uint64
	Nothing [0]*int
}

type entry struct {
	At     int64
	Amount int64
	State  state
}

type state uint8

type deep struct {
	A   int32
	Sub [2]struct {
		B  bool
		In struct{ P *account }
	}
}

type many struct {
	I int
	U uint
	P uintptr
	S []byte
	M map[string]int
	E error
	C chan int
	F func()
	Q unsafe.Pointer
}

type alias = text

type padded struct {
	A uint64
	B uint8
}

type loose struct{ List [5000]padded }

type close struct{ List [4096]padded }

func uses(tx *pmem.Tx, a pmem.Ref[account]) {
	_, _ = pmem.Alloc(tx, text{}) // want `^text can't live in a pool: Name is a string, which means nothing in another process: use an array of bytes, or pmem.Ref\[pmem.Bytes\]$`
	_, _ = pmem.Alloc(tx, account{})
	_, _ = pmem.Alloc(tx, deep{})           // want `deep can't live in a pool: Sub\[\].In.P is a pointer`
	_ = pmem.Register[many]()               // want `I is int, whose size is the machine's: use int64; U is uint, .*; P is uintptr, .*; S is a slice, .*; M is a map, .*; E is an interface, .*; C is a channel, .*; F is a function, .*; Q is a pointer`
	_, _ = pmem.Root[time.Time](tx, "then") // want `time.Time can't live in a pool: loc is a pointer`
	_, _ = pmem.Root[time.Duration](tx, "for")
	_, _ = pmem.Alloc(tx, 1) // want `int can't live in a pool: it is int, whose size is the machine's: use int64`
	_, _ = pmem.Alloc(tx, int64(1))
	_, _ = pmem.AllocImmutable(tx, &account{}) // want `\*account can't live in a pool: it is a pointer`
	_, _ = pmem.Alloc(tx, struct{ A uint8 }{}) // want `it is a struct without a name`
	_ = pmem.SetRoot(tx, "a", a)
	_ = pmem.Register[[8]uint16]()
	_ = pmem.Register[loose]() // want `loose can't live in a pool: List is a long array with padding in its elements`
	_ = pmem.Register[close]()
}

// What is not kept in a pool may be anything.
type volatile struct {
	pool *pmem.Pool
	list []account
	name string
}

type slot struct {
	next pmem.Ref[[]uint8] // want `\[\]uint8 can't live in a pool: it is a slice`
	free pmem.Ref[slot]
}

func onPurpose(tx *pmem.Tx) {
	_, _ = pmem.Alloc(tx, "text") //safevma:allow the test of the refusal
}
