package crash

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"

	"github.com/safevma/safevma/pmem/crash/state"
)

// trace is what one run of a workload did.
type trace struct {
	seed       uint64
	initial    []byte
	events     []Event
	operations int
	goroutines int
	schedule   uint64 // a hash
	created    int    // the event that acknowledged the creation
}

// recorder runs a workload and takes down what it does.
type recorder struct {
	w         *workload
	medium    *memory
	shadow    []byte
	trace     *trace
	s         *scheduler
	history   history
	current   map[*task]*operation
	paused    bool
	err       error
	lastLegal *legal
}

var (
	errStray = errors.New("a dump or a check stores to the medium")
	errPanic = errors.New("panic")
)

// record runs the workload once, on a medium of the model.
func record(w *workload, model state.Model, seed uint64) (*trace, error) {
	r := &recorder{w: w, s: newScheduler(seed), current: map[*task]*operation{}}
	r.trace = &trace{seed: seed, initial: make([]byte, w.size)}
	r.medium = &memory{image: make([]byte, w.size), watch: r}
	r.shadow = make([]byte, w.size)
	env := &Env{Medium: newMedium(r.medium, model), Rand: rand.New(rand.NewPCG(seed, 1)), s: r.s}
	err := r.s.run(func() { r.fail(guard(func() error { return r.whole(env) })) })
	if r.err == nil {
		r.err = err
	}
	if r.err == nil {
		r.err = r.compare("at the end")
	}
	r.trace.schedule = r.s.choices
	return r.trace, r.err
}

// whole is the run of the first goroutine.
func (r *recorder) whole(env *Env) error {
	r.note(begin, "create", &legal{absent: true}, nil)
	s, err := r.w.create(env)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if err := r.open(s); err != nil {
		return err
	}
	r.trace.created = len(r.trace.events) - 1
	if err := r.w.run(r, env, s); err != nil {
		return fmt.Errorf("the workload itself failed: %w", err)
	}
	return nil
}

// open acknowledges the creation and begins the history.
func (r *recorder) open(s any) error {
	dump := func() (string, error) { return r.quietly(func() (string, error) { return r.w.dump(s) }) }
	switch {
	case r.w.dump == nil:
		r.history = unwatched{}
		r.trace.events[0].note.legal.any = true
		r.note(acknowledged, "create", &legal{any: true}, nil)
		return nil
	case r.w.model != nil:
		r.history = newOrders(r.w.model)
	default:
		r.history = &dumps{dump: dump}
	}
	first, err := dump()
	if err != nil {
		return fmt.Errorf("dump after create: %w", err)
	}
	if h, ok := r.history.(*dumps); ok {
		h.states = []string{first}
	} else if err := r.history.end(first); err != nil {
		return err
	}
	// Whether creation was whole when it was interrupted, is said by what it makes.
	r.trace.events[0].note.legal.dumps = map[string]bool{first: true}
	r.note(acknowledged, "create", &legal{dumps: map[string]bool{first: true}}, nil)
	return nil
}

// quietly runs a dump of the living structure: what it reads is not recorded.
func (r *recorder) quietly(fn func() (string, error)) (string, error) {
	r.paused = true
	defer func() { r.paused = false }()
	return fn()
}

func (r *recorder) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *recorder) note(m moment, name string, l *legal, erased []canary) {
	l.when = name
	r.lastLegal = l
	r.append(Event{Event: state.Event{Kind: state.Note}, note: &note{m, name, l, erased}, PCs: callers(2)})
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
		if op.err != nil {
			after.dumps = l.dumps
		}
	}
	r.note(acknowledged, op.name, after, nil)
	return op.err
}

// spawn starts a goroutine.
func (r *recorder) spawn(fn func() error) {
	r.trace.goroutines++
	r.s.start(func() { r.fail(guard(fn)) })
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

// event takes down what is done to the medium.
func (r *recorder) event(e *Event) error {
	if r.paused {
		return errStray
	}
	r.s.yield()
	if r.err != nil {
		return r.err
	}
	if e.Kind == state.Fence || e.Kind == state.SyncBegin || e.Kind == state.SyncEnd {
		if err := r.compare("at a fence"); err != nil {
			r.fail(err)
			return err
		}
	}
	e.Data = slices.Clone(e.Data)
	e.PCs = callers(3)
	r.append(*e)
	copy(r.shadow[e.Off:], e.Data)
	return nil
}

func (r *recorder) read(int64, int64) error {
	if !r.paused {
		r.s.yield()
	}
	return r.err
}

// compare holds the medium against what was stored through it.
func (r *recorder) compare(when string) error {
	if off, differ := differs(r.medium.image, r.shadow); differ {
		where := "before the first operation"
		if n := len(r.trace.events); n > 0 {
			where = "before " + place(callers(2))
		}
		return fmt.Errorf("%w: byte %d is %#x, %#x was stored last; found %s, %s", ErrBypassed, off, r.medium.image[off], r.shadow[off], when, where)
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

// sum tells traces apart.
func (t *trace) sum(seed maphash.Seed) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, e := range t.events {
		fmt.Fprintln(&h, e.Kind, e.Off, e.Len, e.Op, e.Thread)
		h.Write(e.Data)
	}
	return h.Sum64()
}
