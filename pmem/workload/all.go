package workload

import (
	"bytes"
	"errors"

	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/crash"
)

var small = bounds{log: 1024, extent: 256, span: 4096, spans: 3}

// All returns the workloads.
func All() []Workload {
	return []Workload{created(), sets(), allocs(), replaced(), reclassed(), chains(), directs(), runs(), full(), reopened(), Restarted(), concurrent()}
}

// sets changes a word until the log has gone round twice.
func sets() Workload {
	return Workload{
		Name: "set", About: "a log of 1024 bytes, gone round twice by changes of one word, each a record of 8 words",
		Crash: pools(small, put(0, word(1)), func(o *ops) error {
			for v := range byte(34) {
				if err := do(o, step{"set", change(0, 0, word(v+2))}); err != nil {
					return err
				}
			}
			return nil
		}),
		Config: crash.Config{Models: append(cpu[:3:3], disk...)},
	}
}

// allocs makes and frees an object, with records of up to 16 words.
func allocs() Workload {
	return Workload{
		Name: "alloc", About: "an object of 8 bytes freed, made and freed again, in a span that has its class",
		Crash: pools(small, put(0, word(1)), func(o *ops) error {
			return do(o, step{"free", empty(0)}, step{"alloc", put(0, word(2))}, step{"free", empty(0)})
		}),
		Config: crash.Config{Models: cpu, Recoveries: 1 << 20},
	}
}

// replaced makes and frees objects of two sizes.
func replaced() Workload {
	return Workload{
		Name: "replace", About: "objects of 8 and 100 bytes made, replaced and freed, in spans that get their class",
		Crash: pools(small, nil, func(o *ops) error {
			return do(o, step{"alloc 0", put(0, zeros(8, 1))}, step{"replace 0", put(0, zeros(100, 2))}, step{"alloc 1", put(1, zeros(100, 3))},
				step{"free 1", empty(1)}, step{"replace 0", put(0, zeros(8, 4))})
		}),
		Config: crash.Config{Models: append(cpu[:1:1], disk...), Recoveries: 1 << 20},
	}
}

// reclassed gives a span slots of another size, and back.
func reclassed() Workload {
	return Workload{
		Name: "reclass", About: "objects of 100 and 300 bytes, made and freed in turn in the one span that is left, which gets slots of their size",
		Crash: pools(small, nil, func(o *ops) error {
			return do(o, step{"alloc 100", put(0, zeros(100, 1))}, step{"free", empty(0)}, step{"alloc 300", put(0, zeros(300, 2))},
				step{"free", empty(0)}, step{"alloc 100", put(0, zeros(100, 3))})
		}),
		Config: crash.Config{Models: append(cpu[:1:1], disk...), Recoveries: 1 << 20},
	}
}

// chains has records of three parts and more.
func chains() Workload {
	return Workload{
		Name: "chain", About: "records of three and four parts, each as long as an extent of the log of 128 bytes, most of their words zero",
		Crash: pools(bounds{log: 1024, extent: 128, span: 4096, spans: 3}, put(0, zeros(300, 1)), func(o *ops) error {
			return do(o, step{"set 300 bytes", change(0, 0, zeros(300, 2))}, step{"again", change(0, 0, zeros(300, 3))})
		}),
		Config: crash.Config{Models: append(cpu[:1:1], disk...), Recoveries: 1 << 22},
	}
}

// directs makes objects past the log where freed ones were that travelled in it.
func directs() Workload {
	return Workload{
		Name: "direct", About: "objects of 1000 bytes, which travel in the log, and of 1100, written before their records, in turn in one slot",
		Crash: pools(bounds{log: 4096, extent: 2048, span: 8192, spans: 3}, func(p *pmem.Pool) error {
			return errors.Join(put(0, zeros(1000, 9))(p), empty(0)(p)) // in a span that has its class
		}, func(o *ops) error {
			return do(o, step{"in the log", put(0, zeros(1000, 1))}, step{"free", empty(0)}, step{"past it", put(0, zeros(1100, 2))})
		}),
		Config: crash.Config{Models: append(cpu[:1:1], disk...), Recoveries: 1 << 20},
	}
}

// runs makes big objects where freed ones were that changed.
func runs() Workload {
	return Workload{
		Name: "run", About: "objects of 5000 bytes, written before their records, in two spans each, where one was that was changed and freed",
		Crash: pools(bounds{log: 2048, extent: 512, span: 4096, spans: 4}, nil, func(o *ops) error {
			return do(o, step{"run", put(0, zeros(5000, 2))}, step{"set", change(0, 3000, word(4))}, step{"free run", empty(0)},
				step{"another run", put(1, zeros(5000, 3))})
		}),
		Config: crash.Config{Models: append(cpu[:1:1], disk...), Recoveries: 1 << 20},
	}
}

// full fills a pool, and empties it.
func full() Workload {
	return Workload{
		Name: "full", About: "a pool of three spans that is full: an allocation fails, a free works, and then the allocation",
		Crash: pools(small, func(p *pmem.Pool) error { return put(0, zeros(4000, 1))(p) }, func(o *ops) error {
			err := o.Do("no space", func(p *pmem.Pool) error {
				if err := put(1, zeros(4000, 2))(p); !errors.Is(err, pmem.ErrFull) {
					return errors.Join(errNotFull, err)
				}
				return nil
			})
			return errors.Join(err, do(o, step{"free", empty(0)}, step{"alloc", put(1, zeros(4000, 2))}))
		}),
		Config: crash.Config{Models: append(cpu[:1:1], disk...), Recoveries: 1 << 20},
	}
}

// reopened opens the pool again, twice.
func reopened() Workload {
	return Workload{
		Name: "reopen", About: "a word changed, the pool opened again, twice, with what the log has",
		Crash: pools(small, put(0, word(1)), func(o *ops) error {
			for _, v := range []byte{2, 3} { // where a sync fails, opening again is the way on
				failed := do(o, step{"set", change(0, 0, word(v))})
				err := o.Reopen()
				if err != nil { // a sync of recovery failed too
					err = o.Reopen()
				}
				if err != nil { // no pool may be used now
					return errors.Join(failed, err)
				}
			}
			return do(o, step{"set", change(0, 0, word(4))}, step{"set", change(0, 0, word(5))})
		}),
		Config: crash.Config{Models: append(cpu[:3:3], disk...)},
	}
}

// wide is allocs with an object of which more bytes differ from zero: more words to lose.
func wide() Workload {
	w := allocs()
	w.Crash = pools(small, put(0, bytes.Repeat([]byte{1}, 32)), func(o *ops) error {
		return do(o, step{"free", empty(0)}, step{"alloc", put(0, bytes.Repeat([]byte{2}, 32))},
			step{"free", empty(0)}, step{"alloc", put(0, bytes.Repeat([]byte{3}, 32))})
	})
	w.Config.Shallow, w.Config.Recoveries = true, 1<<22
	return w
}
