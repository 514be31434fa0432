package model

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/safevma/safevma/pmem/crash"
	"github.com/safevma/safevma/pmem/medium"
)

type (
	ops      = crash.Ops[*Pool]
	workload = crash.Workload[*Pool]
)

func pools(o Options, run func(*ops) error) workload {
	return workload{
		Size:    Size,
		Create:  func(e *crash.Env) (*Pool, error) { return Create(e, o) },
		Recover: func(e *crash.Env) (*Pool, error) { return Open(e, o) },
		Dump:    (*Pool).Dump, Check: (*Pool).Check, Run: run,
	}
}

// steps does operations one after the other, until one fails: after a failed sync nothing more
// is acknowledged.
func steps(all ...func(*ops) error) func(*ops) error {
	return func(o *ops) error {
		for _, step := range all {
			if err := step(o); err != nil {
				return err
			}
		}
		return nil
	}
}

// restarting goes on where a sync failed: another process opens the pool, while the caches are as
// they were, and does the step again.
func restarting(all ...func(*ops) error) func(*ops) error {
	return func(o *ops) error {
		for _, step := range all {
			err := step(o)
			if errors.Is(err, medium.ErrSync) {
				err = steps((*ops).Reopen, step)(o)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

func do(name string, fn func(*Pool) error) func(*ops) error {
	return func(o *ops) error { return o.Do(name, fn) }
}

func setting(i int, values ...uint64) func(*ops) error {
	return do(fmt.Sprint("set ", i, values), func(p *Pool) error { return p.Set(i, values...) })
}

func relaxed(i int, values ...uint64) func(*ops) error {
	return func(o *ops) error {
		return o.Relaxed("relaxed", func(p *Pool) error { return p.SetRelaxed(i, values...) })
	}
}

// wraps goes more than once round a log of two slots.
func wraps(b Break) workload {
	return pools(Options{Break: b, Slots: 2, Words: 2}, steps(setting(0, 1, 2), setting(1, 3), setting(0, 4), setting(0, 5, 6)))
}

// small is a log of one slot, twice round.
func small(b Break) workload {
	return pools(Options{Break: b, Slots: 1, Words: 2}, steps(setting(0, 1, 2), setting(0, 3)))
}

// tails moves the tail while a record behind it stays live.
func tails(b Break) workload {
	return pools(Options{Break: b, Slots: 3, Words: 2}, steps(setting(0, 1), beside(setting(1, 2)), setting(0, 3)))
}

// beside does a step while a checkpoint's sync is through and its tail is not written.
func beside(step func(*ops) error) func(*ops) error {
	return func(o *ops) error { return o.S.Checkpoint(func() error { return step(o) }) }
}

// reopened appends in two generations. The first one leaves a record that is not overwritten.
func reopened(b Break) workload {
	return pools(Options{Break: b, Slots: 2, Words: 1}, steps(setting(0, 1), beside(setting(0, 2)), (*ops).Reopen, setting(0, 3)))
}

// restarts is a log of two slots, round which it goes twice, with a checkpoint that others commit
// beside, and goes on after a failed sync.
func restarts(b Break) workload {
	return pools(Options{Break: b, Slots: 2, Words: 2}, restarting(setting(0, 1, 2), beside(setting(1, 3)), setting(0, 4), setting(0, 5, 6)))
}

// insists is wraps by a user who goes on after a failed sync.
func insists(b Break) workload {
	w := wraps(b)
	w.Run = func(o *ops) error {
		for _, step := range []func(*ops) error{setting(0, 1, 2), setting(1, 3), setting(0, 4), setting(0, 5, 6)} {
			if err := step(o); err != nil && !errors.Is(err, medium.ErrSync) {
				return err
			}
		}
		return nil
	}
	return w
}

// lives drops a batch of which the last record is whole, and appends as many in a second life.
// With four before the last, that one is in another sector.
func lives(b Break, before int) workload {
	var run, resume []func(*ops) error
	for range before {
		run, resume = append(run, relaxed(0)), append(resume, relaxed(0))
	}
	resume = append(resume[1:], do("nothing", (*Pool).Confirm))
	w := pools(Options{Break: b, Slots: uint64(before + 1), Words: 1}, steps(append(run, setting(0, 2))...))
	w.Resume = steps(resume...)
	return w
}

func livesNear(b Break) workload { return lives(b, 1) }
func livesFar(b Break) workload  { return lives(b, 4) }

// damage ends with a record that confirms the others and says nothing else.
func damage(b Break) workload {
	return pools(Options{Break: b, Slots: 4, Words: 1}, steps(setting(0, 1), setting(0, 2), do("confirm", (*Pool).Confirm)))
}

// chains has a record of three parts.
func chains(b Break) workload {
	return pools(Options{Break: b, Slots: 3, Words: 3, Changes: 1}, steps(setting(0, 1, 2, 3)))
}

// chainsFar has one of five, of which the last is in another sector.
func chainsFar(b Break) workload {
	return pools(Options{Break: b, Slots: 5, Words: 5, Changes: 1}, steps(setting(0, 1, 2, 3, 4, 5)))
}

// chainsWrap has chains that go round the end of the ring, over one that did so before.
func chainsWrap(b Break) workload {
	return pools(Options{Break: b, Slots: 3, Words: 2, Changes: 1}, steps(setting(0, 1, 2), setting(0, 3, 4), setting(0, 5, 6), setting(0, 7, 8)))
}

// readers has one goroutine that sets two words, and one that reads one of them.
func readers(b Break) workload {
	w := pools(Options{Break: b, Slots: 2, Words: 2}, func(o *ops) error {
		start(o, func(o *ops) error {
			return o.Apply("set", func(p *Pool) (string, error) { return "", p.Set(0, 5, 6) },
				effect(func(s *sums) string { s.words[0], s.words[1] = 5, 6; return "" }))
		})
		start(o, func(o *ops) error { return getting(o, 0) })
		return nil
	})
	w.Model = newSums(2)
	return w
}

func getting(o *ops, i int) error {
	return o.Apply(fmt.Sprint("get ", i), func(p *Pool) (string, error) { v, err := p.Get(i); return fmt.Sprint(v), err },
		effect(func(s *sums) string { return fmt.Sprint(s.words[i]) }))
}

// reuse writes an object directly where a freed one was, of which a word is in the log.
func reuse(b Break) workload { return reusing(Options{Break: b, Slots: 3, Words: 1, Objects: 1}) }

// reuseSmall has records of one and two changes.
func reuseSmall(b Break) workload { return reusing(Options{Break: b, Slots: 3, Objects: 1}) }

func reusing(options Options) workload {
	return pools(options, steps(
		do("new", func(p *Pool) error { return p.New(0, 10) }),
		do("free", func(p *Pool) error { return p.Free(0) }),
		do("new direct", func(p *Pool) error { return p.NewDirect(0, 20, 21) })))
}

var errUsedAfterFree = errors.New("a reference to a freed object reads the one that came after it")

// stale keeps a reference to an object in word 1, frees the object and allocates it anew. What
// an incarnation holds is ten times it.
func stale(b Break) workload {
	w := pools(Options{Break: b, Slots: 3, Words: 2, Objects: 1}, steps(
		do("free", func(p *Pool) error { return p.Free(0) }),
		do("new", func(p *Pool) error { return p.New(0, 20) })))
	create := w.Create
	w.Create = func(e *crash.Env) (*Pool, error) {
		p, err := create(e)
		if err != nil {
			return nil, err
		}
		return p, errors.Join(p.New(0, 10), p.Set(1, 1), p.Checkpoint(nobody))
	}
	w.Check = func(p *Pool) error {
		old, err := p.Get(1)
		if err != nil {
			return err
		}
		w, err := p.Lookup(0, old)
		if err == nil && old != 0 && w[0] != 10*old {
			return errUsedAfterFree
		}
		return p.Check()
	}
	w.Resume = func(o *ops) error { // allocates what is free, once more
		v, err := o.S.Get(0)
		if err != nil || v != 0 {
			return err
		}
		w, err := o.S.read(int64(incarnationOffset(0)), 1)
		if err != nil {
			return err
		}
		return do("new", func(p *Pool) error { return p.New(0, 10*(w[0]+1)) })(o)
	}
	return w
}

var secret = []uint64{0x5ec7e75ec7e70001}

// erases makes an object with a secret, and erases it. After a failure, if the object is gone,
// so is the secret: recovery has finished the intent.
func erases(b Break) workload {
	return erasing(Options{Break: b, Slots: 3, Objects: 1}, do("erase", func(p *Pool) error { return p.Erase(0) }))
}

// erasesBeside has other transactions between the free and the scrub: one that allocates, and one
// that would take the space.
func erasesBeside(b Break) workload {
	return erasing(Options{Break: b, Slots: 2, Objects: 2},
		do("remove", func(p *Pool) error { return p.Remove(0) }),
		do("new", func(p *Pool) error { return p.New(1, 40) }),
		do("new where an intent is open", func(p *Pool) error {
			if err := p.New(0, 30); !errors.Is(err, ErrErasing) {
				return err
			}
			return nil
		}),
		do("scrub", (*Pool).Scrub))
}

func erasing(options Options, run ...func(*ops) error) workload {
	erased := func(o *ops) error { return o.Erased(encode(secret)) }
	w := pools(options, steps(append(run, erased)...))
	create := w.Create
	w.Create = func(e *crash.Env) (*Pool, error) {
		p, err := create(e)
		if err != nil {
			return nil, err
		}
		return p, p.New(0, secret...)
	}
	w.Check = func(p *Pool) error {
		allocated, err := p.allocated(0)
		w, err2 := p.read(int64(objectOffset(0)), 1)
		if !allocated && w[0] == secret[0] {
			return errors.Join(err, err2, p.Check(), errSecret)
		}
		return errors.Join(err, err2, p.Check())
	}
	w.Resume = func(o *ops) error {
		if v, err := o.S.root(0); err != nil || v != 0 {
			return err // not erased
		}
		return erased(o)
	}
	return w
}

var errSecret = errors.New("recovery left a secret of what was freed")

// grows asks for more space than there is, then for less, and uses it. A second life goes on
// where the first one was interrupted.
func grows(b Break) workload {
	run := steps(
		do("grow too far", func(p *Pool) error {
			if err := p.Grow(most + growStep); !errors.Is(err, syscall.ENOSPC) {
				return errors.Join(err, errors.New("there was space"))
			}
			return nil
		}), grow, setGrown)
	w := pools(Options{Break: b, Slots: 2}, run)
	w.Most, w.Resume, w.Dump = most, run, (*Pool).grown
	return w
}

// growsAgain opens the pool anew where the sync of the file failed, and grows it again.
func growsAgain(b Break) workload {
	w := grows(b)
	w.Resume = nil
	w.Run = steps(func(o *ops) error {
		err := grow(o)
		if at := (*medium.Error)(nil); errors.Is(err, medium.ErrSync) && errors.As(err, &at) && at.Off == 0 {
			return steps((*ops).Reopen, grow)(o)
		}
		return err
	}, setGrown)
	return w
}

const most = Grown + growStep

var (
	grow     = do("grow", func(p *Pool) error { return p.Grow(Grown) })
	setGrown = do("set grown", func(p *Pool) error { return p.SetGrown(7) })
)

// long goes more than once round a log of three slots, with relaxed records, chains, and a
// checkpoint that others commit beside.
func long(b Break) workload {
	return pools(Options{Break: b, Slots: 3, Words: 3, Changes: 2}, restarting(
		setting(0, 1, 2), relaxed(2, 3), setting(1, 4), beside(setting(0, 5)), setting(0, 6, 7, 8), relaxed(1, 9), setting(0, 10, 11)))
}

// longer does so round four, and opens the pool anew.
func longer(b Break) workload {
	return pools(Options{Break: b, Slots: 4, Words: 4, Changes: 2, Objects: 1}, restarting(
		do("new", func(p *Pool) error { return p.New(0, 10, 11) }), relaxed(1, 1, 2, 3), setting(1, 4, 5), beside(setting(2, 6)),
		do("free", func(p *Pool) error { return p.Free(0) }), do("checkpoint", func(p *Pool) error { return p.Checkpoint(nobody) }),
		do("new direct", func(p *Pool) error { return p.NewDirect(0, 20, 21) }), (*ops).Reopen,
		setting(1, 7, 8, 9), relaxed(3, 10), setting(1, 11)))
}
