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
	atMost        time.Duration
}

var messagePassing = litmus{
	name:  "two stores, two loads",
	first: func(x, y []byte) uint64 { sys.StoreBoth(x, y, 1); return 0 },
	second: func(x, y []byte) uint64 {
		b, a := sys.LoadBoth(y, x)
		return b<<1 | a
	},
	reordered: func(_, second uint64) bool { return second == 2 }, // the second store was seen, the first one was not
	atMost:    time.Second,
}

var storeBuffering = litmus{
	name:      "a store and a load by each",
	first:     func(x, y []byte) uint64 { return sys.StoreThenLoad(x, y) },
	second:    func(x, y []byte) uint64 { return sys.StoreThenLoad(y, x) },
	reordered: func(first, second uint64) bool { return first == 0 && second == 0 },
	atMost:    20 * time.Second, // as a rule, it takes a few milliseconds; on a busy machine the two seldom run at once
}

const (
	rounds = 64  // cells, which the two threads go through side by side
	apart  = 256 // bytes between words, so that each has a cache line
)

// twoCPUs are two that this thread may run on.
func (t *trial) twoCPUs() []int {
	cpus, err := sys.CPUs()
	t.must("sched_getaffinity", err)
	if len(cpus) < 2 {
		t.stop(Missing, "one processor alone")
	}
	return cpus[:2]
}

// litmus runs a test for a time, or until something is out of order.
func (t *trial) litmus(l litmus) Answer {
	area := t.anon(rounds * 2 * apart / pageSize)
	cell := func(i int) (x, y []byte) { return area[2*i*apart:], area[(2*i+1)*apart:] }
	var results [2][rounds]uint64
	var turn, ready, arrived atomic.Uint64 // what the other thread is to do, begins, and has done
	var stop atomic.Bool
	cpus := t.twoCPUs()
	t.must("a processor", sys.RunOn(cpus[0]))
	defer sys.RunOn(cpus...)
	placed := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this
		placed <- sys.RunOn(cpus[1])
		for n := uint64(1); ; n++ {
			for turn.Load() < n {
				if stop.Load() {
					return
				}
			}
			ready.Store(n)
			for i := range rounds {
				x, y := cell(i)
				results[1][i] = l.second(x, y)
			}
			arrived.Store(n)
		}
	}()
	t.must("another processor", <-placed)
	tests, reordered := 0, 0
	start := time.Now()
	for n := uint64(1); reordered == 0 && time.Since(start) < t.span(l.atMost); n++ {
		clear(area)
		turn.Store(n)
		// The other thread is slower, since the words are in this one's cache: it gets a head
		// start, so that somewhere on the way the two are in the same cell.
		for ready.Load() < n {
		}
		for i := range rounds {
			x, y := cell(i)
			results[0][i] = l.first(x, y)
		}
		for arrived.Load() < n {
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
	t.note("litmus test", "%s: %d of %d out of order in %v", l.name, reordered, tests,
		time.Since(start).Round(time.Millisecond))
	if reordered > 0 {
		return "out of order"
	}
	return "in order"
}
