package pmem

import (
	"bytes"
	"runtime"
	"strconv"
	"sync/atomic"

	"github.com/safevma/safevma/pmem/medium"
)

// gate lets a transaction that met conflicts again and again run alone: no other one commits
// that begins to after it asked.
type gate struct {
	wanted atomic.Int32
	lock   *medium.Mutex
	owner  atomic.Uint64 // the goroutine that runs alone
}

// enter waits until nobody else runs alone. Who does already is within that transaction.
func (g *gate) enter() error {
	me := goroutine()
	if g.owner.Load() == me {
		return ErrNested
	}
	g.wanted.Add(1)
	g.lock.Lock()
	g.owner.Store(me)
	return nil
}

func (g *gate) leave() {
	g.owner.Store(0)
	g.lock.Unlock()
	g.wanted.Add(-1)
}

// pass waits until nobody runs alone.
func (g *gate) pass() error {
	if g.wanted.Load() == 0 {
		return nil
	}
	if g.owner.Load() == goroutine() {
		return ErrNested
	}
	g.lock.Lock()
	//lint:ignore SA2001 it only waits
	g.lock.Unlock()
	return nil
}

// goroutine returns the number of the goroutine that calls it, as its stack trace begins, or 0. It takes
// a microsecond: it is for who would wait otherwise, and only to refuse what would wait for itself.
func goroutine() uint64 {
	var b [64]byte
	text, _ := bytes.CutPrefix(b[:runtime.Stack(b[:], false)], []byte("goroutine "))
	text, _, _ = bytes.Cut(text, []byte(" "))
	n, _ := strconv.ParseUint(string(text), 10, 64)
	return n
}
