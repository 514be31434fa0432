package probe

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/safevma/safevma/internal/sys"
)

// litmus is what two threads do with two words that are 0, and which outcome shows that it
// was not done in the order in which it is written.
type litmus struct {
	name          string
	first, second func(x, y []byte) uint64
	reordered     func(first, second uint64) bool
}

var messagePassing = litmus{
	name:  "two stores, two loads",
	first: func(x, y []byte) uint64 { sys.StoreBoth(x, y, 1); return 0 },
	second: func(x, y []byte) uint64 {
		b, a := sys.LoadBoth(y, x)
		return b<<1 | a
	},
	reordered: func(_, second uint64) bool { return second == 2 }, // the second store was seen, the first one was not
}

var storeBuffering = litmus{
	name:      "a store and a load by each",
	first:     func(x, y []byte) uint64 { return sys.StoreThenLoad(x, y) },
	second:    func(x, y []byte) uint64 { return sys.StoreThenLoad(y, x) },
	reordered: func(first, second uint64) bool { return first == 0 && second == 0 },
}

const (
	rounds = 64  // cells, which the two threads go through side by side
	apart  = 256 // bytes between words, so that each has a cache line
)

// litmus runs a test for two seconds, or until something is out of order.
func (t *trial) litmus(l litmus) Answer {
	area := t.anon(rounds * 2 * apart / pageSize)
	cell := func(i int) (x, y []byte) { return area[2*i*apart:], area[(2*i+1)*apart:] }
	var results [2][rounds]uint64
	var turn, arrived [2]atomic.Uint64 // what each thread is to do, and has done
	var stop atomic.Bool
	run := func(who int, do func(x, y []byte) uint64) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for n := uint64(1); ; n++ {
			for turn[who].Load() < n {
				if stop.Load() {
					return
				}
			}
			for i := range rounds {
				x, y := cell(i)
				results[who][i] = do(x, y)
			}
			arrived[who].Store(n)
		}
	}
	go run(1, l.second)
	tests, reordered := 0, 0
	start := time.Now()
	for n := uint64(1); reordered == 0 && time.Since(start) < 2*time.Second; n++ {
		clear(area)
		turn[1].Store(n)
		for i := range rounds {
			x, y := cell(i)
			results[0][i] = l.first(x, y)
		}
		for arrived[1].Load() < n {
			runtime.Gosched()
		}
		for i := range rounds {
			tests++
			if l.reordered(results[0][i], results[1][i]) {
				reordered++
			}
		}
	}
	stop.Store(true)
	t.note("litmus test", "%s: %d of %d out of order in %v", l.name, reordered, tests, time.Since(start).Round(time.Millisecond))
	if reordered > 0 {
		return "out of order"
	}
	return "in order"
}
