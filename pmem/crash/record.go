package crash

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"runtime"
	"slices"
	"syscall"

	"github.com/safevma/safevma/pmem/crash/state"
	"github.com/safevma/safevma/pmem/medium"
)

// trace is what one run of a workload did.
type trace struct {
	seed       uint64
	initial    []byte
	events     []Event
	operations int
	goroutines int
	schedule   uint64         // a hash
	after      map[int]string // the state after each operation, where they don't overlap
	created    int            // the event that acknowledged the creation
	life       *life          // nil: the first one
}

// life is a second one: it begins with an image that a failure left.
type life struct {
	image  []byte
	legal  *legal // at the failure, and until recovery is through
	moment string
}

// how a workload is run.
type how struct {
	seed    uint64
	failing []int  // the syncs that fail, from 1, in order
	known   *trace // in which none fails
	life    *life  // nil: the first one
}

// recorder runs a workload and takes down what it does.
type recorder struct {
	how
	w         *workload
	image     []byte // the bytes of the medium
	shadow    []byte // what they are, if nobody goes past it
	syncs     int    // so far
	trace     *trace
	s         *scheduler
	live      any // the structure
	history   history
	current   map[*task]*operation
	paused    bool
	numbered  int  // operations so far, but for reopenings
	unsure    bool // an operation failed, so that reopening says whether it took effect
	err       error
	lastLegal *legal
}

var (
	// ErrBypassed reports that the bytes of the medium changed without a store through it.
	ErrBypassed = errors.New("a store went past the medium")

	errStray = errors.New("a dump or a check stores to the medium")
	errPanic = errors.New("panic")
)

// record runs the workload once, on a medium of the model.
func record(w *workload, model state.Model, h how) (*trace, error) {
	initial := w.newImage()
	if h.life != nil {
		initial = h.life.image
	}
	r := &recorder{how: h, w: w, s: newScheduler(h.seed), current: map[*task]*operation{}}
	r.trace = &trace{seed: h.seed, initial: initial, life: h.life}
	r.image, r.shadow = slices.Clone(initial), slices.Clone(initial)
	m, err := w.newMedium(r.image, model, r)
	if err != nil {
		return nil, err
	}
	env := &Env{Medium: m, Rand: rand.New(rand.NewPCG(h.seed, 1))}
	err = r.s.run(func() { r.fail(guard(func() error { return r.whole(env) })) })
	if r.err == nil {
		r.err = err
	}
	if r.err == nil {
		r.err = r.end()
	}
	r.trace.schedule = r.s.choices
	return r.trace, r.err
}

// end holds what is there at the end against what should be.
func (r *recorder) end() error {
	if err := r.compare("at the end"); err != nil {
		return err
	}
	if _, overlap := r.history.(*orders); !overlap {
		return nil
	}
	text, err := r.dump()
	if err != nil {
		return fmt.Errorf("dump at the end: %w", err)
	}
	return r.history.end(text)
}

// whole is the run of the first goroutine.
func (r *recorder) whole(env *Env) error {
	name, create, run, l := "create", r.w.create, r.w.run, &legal{absent: true}
	if r.life != nil {
		twin := *r.life.legal
		name, create, run, l = "recover", r.w.recover, r.w.resume, &twin
	}
	r.note(begin, name, l, nil)
	s, err := create(env)
	if r.expected(err) {
		r.trace.created = len(r.trace.events) // never
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.live = s
	if err := r.open(name); err != nil {
		return err
	}
	r.trace.created = len(r.trace.events) - 1
	if err := run(r, env, s); err != nil && !r.expected(err) {
		return fmt.Errorf("the workload itself failed: %w", err)
	}
	return nil
}

// expected reports an error that comes of a sync that was made to fail.
func (r *recorder) expected(err error) bool {
	return errors.Is(err, medium.ErrSync) && len(r.failing) > 0 && r.syncs >= r.failing[0]
}

// open acknowledges the creation and begins the history.
func (r *recorder) open(name string) error {
	created := r.trace.events[0].note.legal
	if r.w.dump == nil {
		r.history, created.any = unwatched{}, true
		r.note(acknowledged, name, &legal{any: true}, nil)
		return nil
	}
	first, err := r.dump()
	if err != nil {
		return fmt.Errorf("dump after %s: %w", name, err)
	}
	if r.w.model != nil {
		r.history = newOrders(r.w.model)
		if err := r.history.end(first); err != nil {
			return err
		}
	} else {
		r.history = r.oneByOne(first)
	}
	if r.life == nil { // whether creation was whole when it was interrupted, is said by what it makes
		created.dumps = map[string]bool{first: true}
	}
	r.note(acknowledged, name, &legal{dumps: map[string]bool{first: true}}, nil)
	return nil
}

// dump dumps the living structure: what it reads is not recorded.
func (r *recorder) dump() (string, error) {
	r.paused = true
	defer func() { r.paused = false }()
	return r.w.dump(r.live)
}

// oneByOne is the history of operations that don't overlap.
func (r *recorder) oneByOne(first string) *dumps {
	h := &dumps{dump: r.dump, states: []string{first}, after: map[int]string{}}
	if r.known != nil {
		h.known = r.known.after
	}
	r.trace.after = h.after
	return h
}

func (r *recorder) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *recorder) note(m moment, name string, l *legal, erased []canary) {
	l.when = name
	r.lastLegal = l
	r.append(Event{Event: state.Event{Kind: state.Note}, note: &note{moment: m, name: name, legal: l, erased: erased}, PCs: callers(2)})
}

func (r *recorder) append(e Event) {
	e.Index = len(r.trace.events)
	if op := r.current[r.s.current]; op != nil {
		e.Op = op.id
	}
	r.trace.events = append(r.trace.events, e)
}

// operate runs an operation and takes down when it began and was acknowledged.
func (r *recorder) operate(op *operation, fn func() (string, error)) error {
	r.trace.operations++
	op.id = r.trace.operations
	if !op.reopens { // which a failure may make one more of
		r.numbered++
		op.number = r.numbered
	}
	r.current[r.s.current] = op
	defer delete(r.current, r.s.current)
	l, err := r.history.begin(op)
	if err != nil {
		return err
	}
	r.note(begin, op.name, l, nil)
	op.result, op.err = fn()
	after, err := r.history.acknowledge(op)
	if err != nil {
		return err
	}
	if _, one := r.history.(*dumps); one {
		for state := range after.dumps {
			l.dumps[state] = true
		}
	}
	r.note(acknowledged, op.name, after, nil)
	r.trace.events[len(r.trace.events)-1].note.failed = op.err != nil
	r.unsure = r.unsure || op.err != nil
	return op.err
}

var errReopened = errors.New("reopening changed the state")

// reopen opens the living structure anew. It promises nothing that was not promised before.
func (r *recorder) reopen(env *Env) (any, error) {
	_, alone := r.history.(*dumps)
	op := &operation{name: "reopen", reopens: true, relaxed: alone, effect: func(Model) string { return "" }}
	err := r.operate(op, func() (string, error) { return "", r.anew(env) })
	return r.live, err
}

func (r *recorder) anew(env *Env) error {
	dump := r.dump
	if r.w.dump == nil {
		dump = func() (string, error) { return "", nil }
	}
	before, err := dump()
	if err != nil {
		return err
	}
	s, err := r.w.recover(env)
	if err != nil {
		return err // what there was is still there to be dumped
	}
	r.live = s
	defer func() { r.unsure = false }()
	after, err := dump()
	if err == nil && before != after && !r.unsure {
		err = fmt.Errorf("%w: from %s to %s", errReopened, clip(before), clip(after))
	}
	return err
}

// spawn starts a goroutine.
func (r *recorder) spawn(fn func() error) {
	r.trace.goroutines++
	r.s.start(func() { r.fail(guard(fn)) }, false)
}

// Wait is for package medium: another goroutine may go on. In a dump nobody does, unless it wants
// a lock that another one has: what that one does meanwhile is no part of the dump.
func (r *recorder) Wait(ready func() bool) {
	switch {
	case !r.paused:
		r.s.wait(ready)
	case ready != nil && !ready():
		r.paused = false
		r.s.wait(ready)
		r.paused = true
	}
}

// Go is for package medium: a goroutine of the structure.
func (r *recorder) Go(fn func()) {
	r.trace.goroutines++
	r.s.start(func() { r.fail(guard(func() error { fn(); return nil })) }, true)
}

func (r *recorder) erase(secret []byte) error {
	c, err := newCanary(secret)
	if err != nil {
		return err
	}
	l := *r.lastLegal
	r.note(acknowledged, "erased", &l, []canary{c})
	return nil
}

// Event takes down what is done to the medium.
func (r *recorder) Event(e medium.Event) error {
	if r.paused {
		return errStray
	}
	if r.err != nil {
		return r.err
	}
	if e.Action == medium.Fence || e.Action == medium.SyncBegin || e.Action == medium.SyncEnd {
		if err := r.compare("at a fence"); err != nil {
			r.fail(err)
			return err
		}
	}
	all := r.w.translate(e)
	failed := r.fails(e, all)
	for _, ev := range all {
		ev.Data, ev.PCs = slices.Clone(ev.Data), callers(1)
		r.append(ev)
		ev.put(r.shadow)
	}
	return failed
}

// fails makes the syncs fail that are to.
func (r *recorder) fails(e medium.Event, all []Event) error {
	if e.Action != medium.SyncEnd {
		return nil
	}
	if r.syncs++; !slices.Contains(r.failing, r.syncs) {
		return nil
	}
	all[0].Kind = state.SyncFail
	return syscall.EIO
}

// Read is for package medium: reads are not recorded.
func (r *recorder) Read(int64, int64) error { return r.err }

// compare holds the medium against what was stored through it.
func (r *recorder) compare(when string) error {
	if off, differ := differs(r.image[:r.w.most], r.shadow[:r.w.most]); differ {
		where := "before the first operation"
		if n := len(r.trace.events); n > 0 {
			where = "before " + place(callers(2))
		}
		return fmt.Errorf("%w: byte %d is %#x, %#x was stored last; found %s, %s", ErrBypassed, off, r.image[off], r.shadow[off], when, where)
	}
	return nil
}

// guard makes a panic an error.
func guard(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v, at %s", errPanic, p, place(callers(2)))
		}
	}()
	return fn()
}

// failed returns how many syncs were made to fail.
func (t *trace) failed() (n int) {
	for i := range t.events {
		if t.events[i].Kind == state.SyncFail {
			n++
		}
	}
	return n
}

// failure says which sync was made to fail until an event, or nothing.
func (t *trace) failure(at int) string {
	for i := range t.events[:min(at, len(t.events))] {
		if t.events[i].Kind == state.SyncFail {
			return "; the sync at " + place(t.events[i].PCs) + " had failed"
		}
	}
	return ""
}

// sum tells traces apart.
func (t *trace) sum(seed maphash.Seed) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, e := range t.events {
		fmt.Fprintln(&h, e.Kind, e.Off, e.Len, e.Op, e.Thread)
		h.Write(e.Data)
		if e.note != nil { // what was read shows in what is legal, not in what was stored
			fmt.Fprintln(&h, e.note.moment, e.note.legal.absent, e.note.legal.any, e.note.legal.dumps)
		}
	}
	return h.Sum64()
}

// callers returns where the user's code made the call.
func callers(skip int) []uintptr {
	pcs := make([]uintptr, 24)
	return pcs[:runtime.Callers(skip+2, pcs)]
}

// differs returns where two images differ first.
func differs(a, b []byte) (int64, bool) {
	if bytes.Equal(a, b) {
		return 0, false
	}
	i := 0
	for a[i] == b[i] {
		i++
	}
	return int64(i), true
}
