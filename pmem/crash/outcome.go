package crash

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"

	"github.com/safevma/safevma/pmem/crash/decision"
	"github.com/safevma/safevma/pmem/crash/state"
)

// outcome is what a recovery and its checks came to.
type outcome struct {
	absent bool
	err    error
	dump   string
	events []Event // what recovery did to the medium, if asked for
	stores int
}

// size is what it takes, roughly.
func (o *outcome) size() int {
	const event = 200
	n := 100 + len(o.dump)
	for i := range o.events {
		n += event + len(o.events[i].Data)
	}
	return n
}

func (o *outcome) same(p *outcome) bool {
	return o.absent == p.absent && o.dump == p.dump && fmt.Sprint(o.err) == fmt.Sprint(p.err)
}

// prober runs recoveries, each on one image, and puts the image back as it was.
type prober struct {
	w      *workload
	model  state.Model
	keep   bool // the events of recovery
	traced bool // with their places
	limit  int  // of calls of the medium in one recovery

	medium  *memory
	env     *Env
	hot     []bool   // blocks that something wrote: the others are the same in all images
	cold    []int64  // blocks that a recovery wrote that were not hot
	known   []uint64 // block: its bytes that were read or written in this run
	blocks  []int64  // those with a bit in known
	undo    []undone
	saved   []byte
	path    []pathRead
	found   []byte
	events  []Event
	stores  int
	calls   int
	poison  map[int64]bool // blocks that can't be read
	in, out chan func()
}

// undone is what an image held before a run changed it.
type undone struct {
	off      int64
	from, to int // in saved
}

type pathRead struct {
	off int64
	n   int
}

func newProber(w *workload, model state.Model) *prober {
	blocks := w.size / decision.Block
	p := &prober{w: w, model: model, limit: 1 << 20, hot: make([]bool, blocks), known: make([]uint64, blocks), poison: map[int64]bool{}}
	p.medium = &memory{watch: p}
	p.env = &Env{Medium: newMedium(p.medium, model)}
	p.worker()
	return p
}

// worker starts the goroutine in which recoveries run: one that does not end can be ended
// there.
func (p *prober) worker() {
	p.in, p.out = make(chan func()), make(chan func())
	go func(in, out chan func()) {
		defer close(out)
		for fn := range in {
			fn()
			out <- nil
		}
	}(p.in, p.out)
}

func (p *prober) close() { close(p.in) }

// inWorker reports false if the function did not come to its end.
func (p *prober) inWorker(fn func()) bool {
	p.in <- fn
	if _, ok := <-p.out; ok {
		return true
	}
	p.worker()
	return false
}

// warm takes in the blocks that a trace writes.
func (p *prober) warm(events []Event) {
	for _, e := range events {
		p.heat(e.Off, int64(len(e.Data)), nil)
	}
}

func (p *prober) heat(off, n int64, cold *[]int64) {
	if n == 0 {
		return
	}
	for b := off / decision.Block; b <= (off+n-1)/decision.Block; b++ {
		switch {
		case cold == nil:
			p.hot[b] = true
		case !p.hot[b]:
			*cold = append(*cold, b)
		}
	}
}

// run recovers one image of a box.
func (p *prober) run(box decision.Box, picks []int) ([]decision.Read, *outcome) {
	p.medium.image, p.medium.next = box.Base, 0
	p.path, p.found, p.events, p.stores, p.calls, p.cold = p.path[:0], p.found[:0], nil, 0, 0, p.cold[:0]
	for i, c := range box.Cells() {
		if v := c.Versions[picks[i]]; v.Mask != nil || picks[i] != 0 {
			p.save(c.Off, int64(c.Len))
			v.Put(box.Base[c.Off:], 0, c.Len)
		}
	}
	p.env.Rand = rand.New(rand.NewPCG(1, 1))
	o := &outcome{}
	if !p.inWorker(func() { p.recover(o) }) {
		o.err = ErrSteps
	}
	o.events, o.stores = p.events, p.stores
	p.restore()
	return p.reads(), o
}

// recover is the run of the user's code.
func (p *prober) recover(o *outcome) {
	o.err = guard(func() error {
		s, err := p.w.recover(p.env)
		if err != nil {
			o.absent = p.w.absent != nil && p.w.absent(err)
			return fmt.Errorf("recover: %w", err)
		}
		if p.w.dump != nil {
			if o.dump, err = p.w.dump(s); err != nil {
				return fmt.Errorf("dump: %w", err)
			}
		}
		if err := p.w.check(s); err != nil {
			return fmt.Errorf("check: %w", err)
		}
		return nil
	})
}

// event hears of what recovery does.
func (p *prober) event(e *Event) error {
	if err := p.step(); err != nil {
		return err
	}
	if n := int64(len(e.Data)); n > 0 {
		p.stores++
		p.heat(e.Off, n, &p.cold)
		p.save(e.Off, n)
		p.learn(e.Off, n, nil)
	}
	if p.keep {
		e.Data = bytes.Clone(e.Data)
		if e.Index = len(p.events); p.traced {
			e.PCs = callers(3)
		}
		p.events = append(p.events, *e)
	}
	return nil
}

func (p *prober) step() error {
	if p.calls++; p.calls <= p.limit {
		return nil
	}
	if p.calls > p.limit+p.limit/4 {
		runtime.Goexit() // it does not heed errors
	}
	return fmt.Errorf("%w: %d calls of the medium so far", ErrSteps, p.calls)
}

// read hears of what recovery reads. Only the first look at a byte tells something about the
// image, and only where something was written in the course of time.
func (p *prober) read(off, n int64) error {
	if err := p.step(); err != nil {
		return err
	}
	for b := off / decision.Block; n > 0 && b <= (off+n-1)/decision.Block; b++ {
		if p.poison[b] {
			return poisoned(b*decision.Block, decision.Block)
		}
	}
	p.learn(off, n, func(from, to int64) {
		p.path = append(p.path, pathRead{from, int(to - from)})
		p.found = append(p.found, p.medium.image[from:to]...)
	})
	return nil
}

// learn marks bytes as known, and calls for each run of them, in one block, that was not.
func (p *prober) learn(off, n int64, fresh func(from, to int64)) {
	for end := off + n; off < end; {
		b := off / decision.Block
		to := min(end, (b+1)*decision.Block)
		if fresh == nil || p.hot[b] {
			p.learnBlock(b, off, to, fresh)
		}
		off = to
	}
}

func (p *prober) learnBlock(b, off, to int64, fresh func(from, to int64)) {
	if p.known[b] == 0 {
		p.blocks = append(p.blocks, b)
	}
	start := b * decision.Block
	for i := off; i < to; {
		if p.known[b]>>(i-start)&1 != 0 {
			i++
			continue
		}
		j := i
		for ; j < to && p.known[b]>>(j-start)&1 == 0; j++ {
			p.known[b] |= 1 << (j - start)
		}
		if fresh != nil {
			fresh(i, j)
		}
		i = j
	}
}

func (p *prober) save(off, n int64) {
	from := len(p.saved)
	p.saved = append(p.saved, p.medium.image[off:off+n]...)
	p.undo = append(p.undo, undone{off, from, len(p.saved)})
}

// restore puts the image back.
func (p *prober) restore() {
	for _, u := range slices.Backward(p.undo) {
		copy(p.medium.image[u.off:], p.saved[u.from:u.to])
	}
	p.undo, p.saved = p.undo[:0], p.saved[:0]
	for _, b := range p.blocks {
		p.known[b] = 0
	}
	p.blocks = p.blocks[:0]
}

// reads returns the path of the last run. All its strings share one.
func (p *prober) reads() []decision.Read {
	all, found := make([]decision.Read, len(p.path)), string(p.found)
	for i, r := range p.path {
		all[i] = decision.Read{Off: r.off, Data: found[:r.n]}
		found = found[r.n:]
	}
	return all
}
