package crash

import (
	"bytes"

	"github.com/safevma/safevma/pmem/crash/decision"
)

// keep keeps the images of a leaf to be lived on: each of them, since the next life may read what
// recovery did not; or a random sample if they become too many (reservoir sampling).
func (e *explorer) keep(box decision.Box, o *outcome, versions [][]int) {
	if e.w.resume == nil || e.t.life != nil || o.absent {
		return
	}
	const most = 1 << 16 // of one leaf: of more, that many at random
	n := volume(versions)
	if !n.IsInt64() || n.Int64() > most {
		for range most {
			e.keepImage(box, e.anyOf(versions))
		}
		e.report.LivesFound++ // so that it is not complete
		return
	}
	for i := range n.Int64() {
		e.keepImage(box, nth(versions, int(i)))
	}
}

func (e *explorer) keepImage(box decision.Box, picks []int) {
	e.report.LivesFound++
	at := e.report.LivesFound - 1
	if at >= e.cfg.Lives {
		if at = e.random.IntN(e.report.LivesFound); at >= e.cfg.Lives {
			return
		}
	}
	sc := scene{box: box, picks: picks}
	f := &Failure{}
	e.describe(f)
	l := &life{sc.image(), e.legal, f.Moment}
	if at < len(e.lives) {
		e.lives[at] = l
	} else {
		e.lives = append(e.lives, l)
	}
}

// nth is one of the images of a leaf: they are counted like the digits of a number.
func nth(versions [][]int, i int) []int {
	picks := make([]int, len(versions))
	for j, v := range versions {
		picks[j] = v[i%len(v)]
		i /= len(v)
	}
	return picks
}

func (e *explorer) anyOf(versions [][]int) []int {
	picks := make([]int, len(versions))
	for i, v := range versions {
		picks[i] = v[e.random.IntN(len(v))]
	}
	return picks
}

// liveOn explores what comes after recovery.
func (e *explorer) liveOn() error {
	for i, l := range e.lives {
		t, err := record(e.w, e.model, how{seed: e.cfg.Seed + uint64(i), life: l})
		if err != nil {
			return e.misuse(t, err)
		}
		e.report.Lives++
		if err := e.trace(t, 0); err != nil {
			return err
		}
	}
	e.lives = nil
	return nil
}

// twice runs the workload again with the same seed. What is stored in one run and not in the
// other is no content: a pointer, a time, an order of a map, randomness not from Env.
func (e *explorer) twice() error {
	t, err := record(e.w, e.model, how{seed: e.whole.seed})
	if err != nil {
		return e.misuse(t, err)
	}
	l := newLinter(e.model, nil)
	for i := range min(len(t.events), len(e.whole.events)) {
		a, b := &e.whole.events[i], &t.events[i]
		if a.Kind != b.Kind || a.Off != b.Off || len(a.Data) != len(b.Data) {
			l.say(LintVolatile, a) // and nothing that comes after it can be compared
			break
		}
		if !bytes.Equal(a.Data, b.Data) {
			l.say(LintVolatile, a)
		}
	}
	e.report.lint(l.list())
	e.volatile = l.list()
	return nil
}
