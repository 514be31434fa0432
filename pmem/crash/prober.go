package crash

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"

	"github.com/safevma/safevma/pmem/crash/decision"
	"github.com/safevma/safevma/pmem/crash/state"
	"github.com/safevma/safevma/pmem/medium"
)

// ErrSteps reports a recovery that does not come to an end.
var ErrSteps = errors.New("recovery does not end")

var errPoison = errors.New("poisoned")

// prober runs recoveries, each on one image, and puts the image back as it was.
type prober struct {
	w      *workload
	model  state.Model
	keep   bool // the events of recovery
	traced bool // with their places
	linked bool // the file gets its name by a Link
	limit  int  // of calls of the medium in one recovery

	image   []byte
	s       *scheduler // once recovery starts a goroutine
	side    error      // of such a goroutine
	hot     []bool     // blocks that something wrote: the others are the same in all images
	cold    []int64    // blocks that a recovery wrote that were not hot
	known   []uint64   // block: its bytes that were read or written in this run
	blocks  []int64    // those with a bit in known
	undo    []undone
	saved   []byte
	path    []pathRead
	found   []byte
	events  []Event
	stores  int
	calls   int
	poison  map[int64]bool // blocks that can't be read
	shadow  []byte         // in some runs: what the image is, if nobody goes past the medium
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
	blocks := (w.most + attributes) / decision.Block
	p := &prober{w: w, model: model, limit: 1 << 20, hot: make([]bool, blocks), known: make([]uint64, blocks), poison: map[int64]bool{}}
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
		p.linked = p.linked || e.Kind == state.Attribute && e.Off == p.w.most+linkWord
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
	return p.watch(box, picks, false)
}

// watch is run that, if asked, holds the image against what was stored through the medium.
func (p *prober) watch(box decision.Box, picks []int, watched bool) ([]decision.Read, *outcome) {
	p.image, p.s, p.side = box.Base, nil, nil
	p.path, p.found, p.events, p.stores, p.calls, p.cold = p.path[:0], p.found[:0], nil, 0, 0, p.cold[:0]
	for i, c := range box.Cells() {
		if v := c.Versions[picks[i]]; v.Mask != nil || picks[i] != 0 {
			p.save(c.Off, int64(c.Len))
			v.Put(box.Base[c.Off:], 0, c.Len)
		}
	}
	o := &outcome{}
	if p.shadow = p.shadow[:0]; watched {
		p.shadow = append(p.shadow, p.image...)
	}
	if !p.inWorker(func() { p.recover(o) }) {
		o.err = ErrSteps
	}
	if p.side != nil && (o.err == nil || errors.Is(o.err, ErrSteps)) {
		o.err = p.side
	}
	if watched {
		if off, differ := differs(p.image, p.shadow); differ {
			o.err = fmt.Errorf("%w in recovery: byte %d is %#x, %#x was stored last", ErrBypassed, off, p.image[off], p.shadow[off])
			copy(p.image, p.shadow)
		}
	}
	o.events, o.stores = p.events, p.stores
	p.restore()
	return p.reads(), o
}

// recover is the run of the user's code.
func (p *prober) recover(o *outcome) {
	defer p.leave()
	o.err = guard(func() error {
		m, err := p.open(o)
		if err != nil {
			return err
		}
		s, err := p.w.recover(&Env{Medium: m, Rand: rand.New(rand.NewPCG(1, 1))})
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

var errUnlinked = errors.New("the file has no name")

// open is the medium, if there is one: its attributes are read by whoever opens a file.
func (p *prober) open(o *outcome) (*medium.Medium, error) {
	if err := p.Read(p.w.most, 2*state.Word); err != nil {
		return nil, err
	}
	if p.linked && p.image[p.w.most+linkWord] == 0 {
		o.absent = true
		return nil, errUnlinked
	}
	return p.w.newMedium(p.image, p.model, p)
}

// Event hears of what recovery does.
func (p *prober) Event(e medium.Event) error {
	if err := p.step(); err != nil {
		return err
	}
	for _, ev := range p.w.translate(e) {
		n := int64(len(ev.Data))
		if ev.Kind == state.Zero {
			n = ev.Len
		}
		if n > 0 {
			p.stores++
			p.heat(ev.Off, n, &p.cold)
			p.save(ev.Off, n)
			p.learn(ev.Off, n, nil)
			ev.put(p.image)
			if len(p.shadow) > 0 {
				ev.put(p.shadow)
			}
		}
		if p.keep {
			ev.Data, ev.Index, ev.PCs = bytes.Clone(ev.Data), len(p.events), p.places()
			p.events = append(p.events, ev)
		}
	}
	return nil
}

func (p *prober) places() []uintptr {
	if !p.traced {
		return nil
	}
	return callers(2)
}

// Wait is for package medium. Without goroutines, nobody makes ready what is not.
func (p *prober) Wait(ready func() bool) {
	switch {
	case p.s != nil:
		p.s.wait(ready)
	case ready != nil && !ready():
		p.side = ErrDeadlock
		runtime.Goexit()
	}
}

// Go is for package medium: from here on recovery is scheduled, always in the same way.
func (p *prober) Go(fn func()) {
	if p.s == nil {
		p.s = newScheduler(1)
		p.s.adopt()
	}
	p.s.start(func() {
		if err := guard(func() error { fn(); return nil }); err != nil {
			p.side = err
		}
	}, true)
}

// leave ends the goroutines that recovery started.
func (p *prober) leave() {
	if p.s != nil {
		p.s.leave()
	}
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

// Read hears of what recovery reads. Only the first look at a byte tells something about the
// image, and only where something was written in the course of time.
func (p *prober) Read(off, n int64) error {
	if err := p.step(); err != nil {
		return err
	}
	for b := off / decision.Block; n > 0 && b <= (off+n-1)/decision.Block; b++ {
		if p.poison[b] {
			return errPoison
		}
	}
	p.learn(off, n, func(from, to int64) {
		p.path = append(p.path, pathRead{from, int(to - from)})
		p.found = append(p.found, p.image[from:to]...)
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
	p.saved = append(p.saved, p.image[off:off+n]...)
	p.undo = append(p.undo, undone{off, from, len(p.saved)})
}

// restore puts the image back.
func (p *prober) restore() {
	for _, u := range slices.Backward(p.undo) {
		copy(p.image[u.off:], p.saved[u.from:u.to])
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
