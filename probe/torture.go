package probe

import (
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/safevma/safevma/internal/sys"
)

// torture has several threads change mappings, and others read them all the while.
//
// Each slot is one page of a range of addresses, and belongs to one writer. A writer gives
// its slot a new page again and again, in every way that there is (mapping over it, unmapping
// and mapping, moving another page there, protecting it), and writes the slot's tag into it:
// which slot it is, and how often it has changed. state says the same while the slot is at
// rest, and is odd while it changes.
//
// A reader looks at the state, loads the tag, and looks at the state again. Where that has
// stayed, the tag must be that of the state. One of an earlier change is stale: the processor
// or the kernel still knew an old page. One of another slot is foreign. None at all, or a
// fault, is lost.
type torture struct {
	slots  []slot
	stop   atomic.Bool
	plant  fault // what writers do wrong on purpose
	counts counts
}

type slot struct {
	state atomic.Uint64
	page  []byte
}

// fault is what a control plants.
type fault int

const (
	sound   fault = iota
	swaps         // the tag is that of the next slot
	delays        // the state is a change ahead of the page
	forgets       // the page is left inaccessible
)

type counts struct {
	changes, reads, forks atomic.Int64
	foreign, stale, lost  atomic.Int64
}

// tag is never 0, which is what an untouched page holds.
func tag(slot, change uint64) uint64 { return (slot+1)<<48 | change }

// tortured runs it and returns what was counted.
func (t *trial) tortured(slots, writers, readers int, long time.Duration, plant fault) *counts {
	area := t.mapped(slots, sys.ProtNone, private, nil)
	o := &torture{slots: make([]slot, slots), plant: plant}
	for i := range o.slots {
		o.slots[i].page = area[i*pageSize : (i+1)*pageSize : (i+1)*pageSize]
		o.slots[i].state.Store(1)
	}
	var wait sync.WaitGroup
	for w := range writers {
		wait.Go(func() { o.write(w, writers) })
	}
	for r := range readers {
		wait.Go(func() { o.read(uint64(r)) })
	}
	time.Sleep(t.span(long))
	o.stop.Store(true)
	wait.Wait()
	sys.Munmap(area)
	return &o.counts
}

func (o *torture) write(first, step int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	random := rand.New(rand.NewPCG(uint64(first), 7))
	for change := uint64(1); !o.stop.Load(); change++ {
		for i := first; i < len(o.slots); i += step {
			s := &o.slots[i]
			s.state.Store(2*change - 1)
			if o.renew(s, tag(uint64(i), change), random.IntN(5)) {
				s.state.Store(2 * change)
				o.counts.changes.Add(1)
			}
		}
		if change%64 == 0 {
			if _, err := sys.ForkCalls([]sys.RawCall{{Number: sys.CallLoad,
				Args: [6]uintptr{uintptr(sys.Addr(o.slots[first].page))}}}); err == nil {
				o.counts.forks.Add(1)
			}
		}
	}
}

// renew gives a slot a page with a tag, and reports whether it could.
func (o *torture) renew(s *slot, word uint64, way int) bool {
	const anonymous = private | sys.MapAnonymous
	var err error
	switch way {
	case 0: // map over it
		err = sys.MmapAt(s.page, rw, anonymous, -1, 0)
	case 1: // move another page there
		var other []byte
		if other, err = sys.Mmap(pageSize, rw, anonymous, -1, 0); err == nil {
			other[0] = 1
			_, err = sys.Mremap(other, pageSize, sys.MremapMaymove|sys.MremapFixed, sys.Addr(s.page))
		}
	case 2: // throw the page away; whatever it was mapped as before, it can be written then
		if err = sys.MmapAt(s.page, rw, anonymous, -1, 0); err == nil {
			s.page[0] = 1
			err = sys.Madvise(s.page, sys.MadvDontneed)
		}
	case 3: // inaccessible for a moment
		if err = sys.MmapAt(s.page, sys.ProtNone, anonymous, -1, 0); err == nil {
			err = sys.Mprotect(s.page, rw)
		}
	case 4: // shared memory, which a fork does not copy
		err = sys.MmapAt(s.page, rw, shared|sys.MapAnonymous, -1, 0)
	}
	if err != nil {
		return false
	}
	switch o.plant {
	case swaps:
		word += 1 << 48
	case delays:
		word--
	}
	sys.StoreWord(s.page, word)
	// Read-only, so that a later fork or fault takes other ways than for a written page.
	if way == 3 {
		err = sys.Mprotect(s.page, sys.ProtRead)
	}
	if o.plant == forgets {
		err = sys.Mprotect(s.page, sys.ProtNone)
	}
	return err == nil
}

func (o *torture) read(seed uint64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	random := rand.New(rand.NewPCG(seed, 9))
	for !o.stop.Load() {
		i := random.IntN(len(o.slots))
		o.look(uint64(i), &o.slots[i])
	}
}

func (o *torture) look(i uint64, s *slot) {
	before := s.state.Load()
	if before%2 != 0 {
		return
	}
	var word uint64
	a := faulting(func() { word = sys.LoadWord(s.page) })
	if s.state.Load() != before {
		return
	}
	o.counts.reads.Add(1)
	switch want := tag(i, before/2); {
	case a != OK || word>>48 == 0:
		o.counts.lost.Add(1)
	case word>>48 != i+1:
		o.counts.foreign.Add(1)
	case word != want:
		o.counts.stale.Add(1)
	}
}

// tortureProbe looks at one of the counts.
func tortureProbe(id, claim, what string, plant fault, count func(*counts) int64) Probe {
	return Probe{
		ID: id, Subject: Concurrency,
		Source: "mmap(2), mprotect(2), mremap(2): when they return, they are done for all threads; safety working group, VMA investigation: stale or corrupted VMAs by races",
		Claim:  claim, Requirement: "SV-CON-01", Needs: Needs{Alone: true, Limit: 30 * time.Second},
		Experiment: "two threads renew 32 pages in five ways, and fork; two others read them, for 1.2 s",
		Control:    "the same, with " + what + " planted",
		Oracle:     "none: confirmed; any: refuted",
		run: func(t *trial) {
			compare(t, experiment[fault]{try: what, do: func(plant fault) Answer {
				long := 1200 * time.Millisecond
				if plant != sound {
					long = 200 * time.Millisecond
				}
				a := t.tortureOnce(long, plant, count)
				// On a busy machine readers and writers seldom run at once.
				for tries := 1; a == tooFew && tries < 10; tries++ {
					a = t.tortureOnce(2*long, plant, count)
				}
				return a
			},
				on: "a sound run", subject: sound, confirms: []Answer{"none"}, refutes: []Answer{"any"},
				controls: []control[fault]{{"a run with what is planted", plant, "any"}}})
		},
	}
}

// tooFew says that the threads of a torture did not meet often enough to tell.
const tooFew Answer = "too few reads and changes"

func (t *trial) tortureOnce(long time.Duration, plant fault, count func(*counts) int64) Answer {
	start := time.Now()
	c := t.tortured(32, 2, 2, long, plant)
	t.note("torture", "%d changes, %d forks, %d reads at rest in %v; %d foreign, %d stale, %d lost (planted: %v)",
		c.changes.Load(), c.forks.Load(), c.reads.Load(),
		time.Since(start).Round(time.Millisecond), c.foreign.Load(), c.stale.Load(), c.lost.Load(), plant != sound)
	switch {
	case c.reads.Load() < 50 || c.changes.Load() < 32:
		return tooFew
	case count(c) > 0:
		return "any"
	}
	return "none"
}
