package crash

import (
	"errors"
	"math/rand/v2"

	"github.com/safevma/safevma/pmem/medium"
)

// Workload is a structure under test, and what is done with it. S is the structure as its
// user holds it.
//
// Recover, Dump and Check read through the medium alone and take their randomness from [Env], so
// that they do the same whenever they read the same: then images that differ
// where nobody looked need not be recovered again. Explore checks this.
type Workload[S any] struct {
	// Size is that of the medium, in bytes: a multiple of 4096. Most is how far it may be
	// extended, likewise; zero is not at all.
	Size, Most int64
	// Create makes the structure on a medium of zeros.
	Create func(*Env) (S, error)
	// Run does the operations, each through [Ops.Do], [Ops.Relaxed] or [Ops.Apply].
	Run func(*Ops[S]) error
	// Resume does further operations after a failure and a recovery: a second life, which is
	// explored like the first one. See [Config.Lives].
	Resume func(*Ops[S]) error
	// Recover opens the structure after a failure.
	Recover func(*Env) (S, error)
	// Dump returns all that a user can see of the structure, in an order of its own. After a
	// failure it must equal the state before or after the operation in flight. Without it,
	// Check decides alone.
	Dump func(S) (string, error)
	// Check is what must hold of a recovered structure besides. Nil is nothing.
	Check func(S) error
	// Absent says whether an error of Recover means that nothing was created here. With it,
	// creation is explored too: until its acknowledgement, Absent is as good as the empty
	// structure. Without it, exploration begins with the first operation.
	Absent func(error) bool
	// Model is the state after Create, where operations overlap.
	Model Model
	// Regions say which classes of stores belong where. Other stores there are a lint.
	Regions []Region
}

// Env is what a structure gets from outside.
type Env struct {
	// Medium is what it lives on. Its locks ([medium.Medium.NewMutex]) and goroutines
	// ([medium.Medium.Go]) are those to be used: their calls are scheduling points. A structure
	// that blocks in another lock stops the run.
	Medium *medium.Medium
	Rand   *rand.Rand // the same in each run
}

// Ops does the operations of one goroutine of a workload.
type Ops[S any] struct {
	Env *Env
	S   S // the structure, for reads that are no operations
	to  *recorder
}

// Do runs an operation that is durable when it returns. After a failure while it runs, all
// of it is there or nothing. An operation that returns an error may have taken effect or not;
// Do passes the error on.
func (o *Ops[S]) Do(name string, fn func(S) error) error {
	return o.to.operate(&operation{name: name}, func() (string, error) { return "", fn(o.S) })
}

// Relaxed runs an operation that returns before it is durable. A failure may take back it and
// those after it, until the next operation by Do.
func (o *Ops[S]) Relaxed(name string, fn func(S) error) error {
	return o.to.operate(&operation{name: name, relaxed: true}, func() (string, error) { return "", fn(o.S) })
}

// Apply is Do for workloads with a Model. Effect does the same to the model; both return what
// the caller of the operation learns from it, so that nothing that was read is lost later.
func (o *Ops[S]) Apply(name string, fn func(S) (string, error), effect func(Model) string) error {
	return o.to.operate(&operation{name: name, effect: effect}, func() (string, error) { return fn(o.S) })
}

// Go starts a goroutine of the workload. Run is over when all have returned; an error ends
// the exploration.
func (o *Ops[S]) Go(fn func(*Ops[S]) error) {
	o.to.spawn(func() error { return fn(&Ops[S]{Env: o.Env, S: o.S, to: o.to}) })
}

// Reopen opens the structure anew, without a failure, as after a restart of the process: o.S
// is then what Recover returns. No other goroutine may be using it. The state must be the same as
// before, unless an operation failed: then reopening says whether it took effect. If Recover
// fails, o.S is what it was, over a medium that Recover may have changed: reopen again, or end.
func (o *Ops[S]) Reopen() error {
	s, err := o.to.reopen(o.Env)
	if typed, ok := s.(S); ok && err == nil {
		o.S = typed
	}
	return err
}

// Erased says that from now on no failure may leave these bytes anywhere on the medium: not
// in the structure, not in a log, not in 8 bytes of them at a multiple of 8 from their begin.
func (o *Ops[S]) Erased(secret []byte) error { return o.to.erase(secret) }

// Region says which classes of stores belong to a part of the medium.
type Region struct {
	Name     string
	Off, Len int64
	Classes  []medium.Class
}

var errWorkload = errors.New("incomplete workload")

// workload is a Workload whose structure has no type, for the engine.
type workload struct {
	size    int64
	most    int64
	create  func(*Env) (any, error)
	run     func(*recorder, *Env, any) error
	resume  func(*recorder, *Env, any) error // nil: there is one life
	recover func(*Env) (any, error)
	dump    func(any) (string, error)
	check   func(any) error
	absent  func(error) bool
	model   Model
	regions []Region
}

func (w Workload[S]) untyped() (*workload, error) {
	switch {
	case w.Size <= 0 || w.Size%4096 != 0:
		return nil, errors.Join(errWorkload, errors.New("its Size is a multiple of 4096 above zero"))
	case w.Most%4096 != 0 || w.Most != 0 && w.Most < w.Size:
		return nil, errors.Join(errWorkload, errors.New("its Most is a multiple of 4096, not below Size"))
	case w.Create == nil || w.Run == nil || w.Recover == nil:
		return nil, errors.Join(errWorkload, errors.New("it needs Create, Run and Recover"))
	case w.Dump == nil && w.Check == nil:
		return nil, errors.Join(errWorkload, errors.New("without Dump and Check nothing would be checked"))
	case w.Model != nil && w.Resume != nil:
		return nil, errors.Join(errWorkload, errors.New("a Model does not know the state in which a second life begins: Resume is for workloads without"))
	case w.Model != nil && w.Dump == nil:
		return nil, errors.Join(errWorkload, errors.New("a Model is compared with what Dump returns"))
	}
	u := &workload{size: w.Size, most: max(w.Size, w.Most), absent: w.Absent, model: w.Model, regions: w.Regions}
	u.create = func(e *Env) (any, error) { return w.Create(e) }
	u.recover = func(e *Env) (any, error) { return w.Recover(e) }
	operate := func(fn func(*Ops[S]) error) func(*recorder, *Env, any) error {
		return func(r *recorder, e *Env, s any) error {
			typed, _ := s.(S)
			return fn(&Ops[S]{Env: e, S: typed, to: r})
		}
	}
	u.run = operate(w.Run)
	if w.Resume != nil {
		u.resume = operate(w.Resume)
	}
	if w.Dump != nil {
		u.dump = func(s any) (string, error) { typed, _ := s.(S); return w.Dump(typed) }
	}
	u.check = func(s any) error {
		if w.Check == nil {
			return nil
		}
		typed, _ := s.(S)
		return w.Check(typed)
	}
	return u, nil
}
