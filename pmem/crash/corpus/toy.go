package corpus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/safevma/safevma/pmem/crash"
	"github.com/safevma/safevma/pmem/medium"
)

// toy is the structure of most cases: words on a medium. After an error it does nothing
// more, and the operation returns that error: so the cases show their bug and little else.
type toy struct {
	m      *medium.Medium
	lock   *medium.Mutex
	broken bool
	base   uint64 // where this process has mapped the medium
	n, sum uint64 // in memory: of the log of a sum
	err    error
}

// script is what is done with a toy. Only run and dump are needed.
type script struct {
	most    int64
	create  func(*toy)
	run     []step
	recover func(*toy)
	dump    func(*toy) string
	check   func(*toy) error
	absent  func(error) bool
	erased  []byte // after the last step
	model   crash.Model
	threads func(*crash.Ops[*toy]) error // instead of run
}

// step is an operation that is durable on return, unless it is relaxed.
type step struct {
	name    string
	do      func(*toy)
	relaxed bool
}

// steps are the same operation with one value after the other.
func steps(name string, do func(t *toy, v uint64), values ...uint64) []step {
	var all []step
	for _, v := range values {
		all = append(all, step{name: fmt.Sprint(name, " ", v), do: func(t *toy) { do(t, v) }})
	}
	return all
}

// toys makes the Explore of a case from its script.
func toys(s script) exploring {
	return explore(func(broken bool) crash.Workload[*toy] { return s.workload(broken) })
}

func (s script) workload(broken bool) crash.Workload[*toy] {
	open := func(base uint64, fn func(*toy)) func(e *crash.Env) (*toy, error) {
		return func(e *crash.Env) (*toy, error) {
			t := &toy{m: e.Medium, lock: e.Medium.NewMutex(), broken: broken, base: base}
			if fn != nil {
				fn(t)
			}
			return t, t.err
		}
	}
	w := crash.Workload[*toy]{
		Size: 8192, Most: s.most, Absent: s.absent, Model: s.model, Check: s.check, Run: s.threads,
		Create: open(0xc000_0000, s.create), Recover: open(0xd000_0000, s.recover),
		Dump: func(t *toy) (string, error) { return s.dump(t), t.err },
	}
	if w.Run == nil {
		w.Run = s.steps
	}
	return w
}

func (s script) steps(o *crash.Ops[*toy]) error {
	for _, one := range s.run {
		do := o.Do
		if one.relaxed {
			do = o.Relaxed
		}
		if err := do(one.name, func(t *toy) error { one.do(t); return t.take() }); err != nil {
			return err
		}
	}
	if s.erased != nil {
		return o.Erased(s.erased)
	}
	return nil
}

// What follows is all that the toys do to their medium.

func (t *toy) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

// take returns the error of an operation that is through.
func (t *toy) take() error {
	err := t.err
	t.err = nil
	return err
}

// get loads the word at an offset.
func (t *toy) get(off int64) uint64 {
	if t.err != nil {
		return 0
	}
	v, err := t.m.Load8(off)
	t.fail(err)
	return v
}

// put stores a word.
func (t *toy) put(off int64, v uint64) {
	if t.err == nil {
		t.fail(t.m.Store8(off, v, medium.Unclassed))
	}
}

// persist flushes and fences.
func (t *toy) persist(off, n int64) {
	if t.err == nil {
		t.fail(t.m.Persist(off, n))
	}
}

// set stores a word and makes it durable.
func (t *toy) set(off int64, v uint64) {
	t.put(off, v)
	t.persist(off, 8)
}

// write puts words by non-temporal stores, and fences.
func (t *toy) write(off int64, words ...uint64) {
	if t.err == nil {
		t.fail(t.m.Write(off, pack(words), medium.Unclassed))
	}
}

// words loads n of them.
func (t *toy) words(off int64, n int) []uint64 {
	all := make([]uint64, n)
	for i := range all {
		all[i] = t.get(off + 8*int64(i))
	}
	return all
}

func pack(words []uint64) []byte {
	var b []byte
	for _, w := range words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

// crc is never that of zeros.
func crc(words ...uint64) uint64 {
	return uint64(crc32.Checksum(pack(words), crc32.MakeTable(crc32.Castagnoli))) | 1<<32
}

// show dumps words.
func show(off int64, n int) func(*toy) string {
	return func(t *toy) string { return fmt.Sprint(t.words(off, n)) }
}

// both dumps a word each at two places.
func both(a, b int64) func(*toy) string {
	return func(t *toy) string { return fmt.Sprint(t.get(a), " ", t.get(b)) }
}

var (
	errLeak    = errors.New("a leak: allocated, and nothing leads there")
	errDangle  = errors.New("a dangling link: it leads to free space")
	errOverlap = errors.New("an overlap: in use, and free as well")
	errLocked  = errors.New("the lock is held by nobody who lives")
	errHalf    = errors.New("half a transaction")
	errAhead   = errors.New("the replica is ahead of its source")
	errNone    = errors.New("nothing was created here")
)
