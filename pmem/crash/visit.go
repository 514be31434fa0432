package crash

import (
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/safevma/safevma/pmem/crash/decision"
	"github.com/safevma/safevma/pmem/crash/state"
)

// visit walks through the images of a crash point.
func (e *explorer) visit(box decision.Box) error {
	total := state.Product(box.Layers[0])
	e.tally.states.Set(total)
	walk := e.tree.Walk(box, decision.Visitor[*outcome]{
		Run:      func(picks []int) ([]decision.Read, *outcome, error) { return e.recover(box, picks) },
		Leaf:     func(o *outcome, versions [][]int) error { return e.leaf(box, o, versions) },
		MaxBytes: int(e.cfg.Memory / 2),
	})
	err := walk.All()
	if errors.Is(err, errBudget) {
		e.tally.sampled = true
		err = e.sample(box, walk)
	}
	return e.explain(err)
}

// explain makes an error of the tree one of this package.
func (e *explorer) explain(err error) error {
	if errors.Is(err, decision.ErrPath) {
		return fmt.Errorf("%w: %w", ErrNotDeterministic, err)
	}
	return err
}

// sample tries the images that differ in one cell from all or from nothing durable, and then
// some at random.
func (e *explorer) sample(box decision.Box, walk *decision.Walk[*outcome]) error {
	e.spent = -e.cfg.Samples - 2*len(box.Cells())
	for _, picks := range corners(box) {
		if _, err := walk.One(picks); err != nil {
			return ignoreBudget(err)
		}
	}
	for range e.cfg.Samples {
		if ok, err := walk.One(box.Random(e.random)); err != nil || !ok {
			return ignoreBudget(err)
		}
	}
	return nil
}

func ignoreBudget(err error) error {
	if errors.Is(err, errBudget) {
		return nil
	}
	return err
}

// corners are all, nothing, all but one cell, and one cell alone.
func corners(box decision.Box) [][]int {
	cells := box.Cells()
	none, all := make([]int, len(cells)), make([]int, len(cells))
	for i, c := range cells {
		all[i] = len(c.Versions) - 1
	}
	corners := [][]int{none, all}
	for i := range cells {
		one, but := slices.Clone(none), slices.Clone(all)
		one[i], but[i] = all[i], none[i]
		corners = append(corners, one, but)
	}
	return corners
}

// recover runs a recovery, on its account.
func (e *explorer) recover(box decision.Box, picks []int) ([]decision.Read, *outcome, error) {
	if e.spent++; e.spent > e.cfg.Recoveries {
		return nil, nil, errBudget
	}
	return e.probe(box, picks)
}

// probe runs a recovery.
func (e *explorer) probe(box decision.Box, picks []int) ([]decision.Read, *outcome, error) {
	if err := e.ctx.Err(); err != nil {
		return nil, nil, err
	}
	e.progress()
	twice := e.report.Recoveries&(e.report.Recoveries+1) == 0 // the first, 2nd, 4th, 8th …
	path, o := e.prober.watch(box, picks, twice)
	if errors.Is(o.err, ErrBypassed) {
		return nil, nil, e.fail(o.err, nil)
	}
	if len(e.prober.cold) > 0 && e.prober.keep {
		return nil, nil, errCold
	}
	e.report.Recoveries++
	if twice {
		again, twin := e.prober.run(box, picks)
		if !slices.Equal(path, again) || !o.same(twin) {
			return nil, nil, fmt.Errorf("%w: two recoveries of one image differ: %s", ErrNotDeterministic, difference(o, twin))
		}
	}
	if e.cfg.Unpruned {
		path = everything(box, picks)
	}
	return path, o, nil
}

// everything is the path of a recovery that reads all cells.
func everything(box decision.Box, picks []int) (path []decision.Read) {
	for i, c := range box.Cells() {
		for from := 0; from < c.Len; {
			off := c.Off + int64(from)
			to := min(c.Len, from+int(decision.Block-off%decision.Block))
			path = append(path, decision.Read{Off: off, Data: string(c.Versions[picks[i]].Data[from:to])})
			from = to
		}
	}
	return path
}

func difference(a, b *outcome) string {
	if a.dump != b.dump {
		return fmt.Sprintf("dumps %s and %s", clip(a.dump), clip(b.dump))
	}
	if fmt.Sprint(a.err) != fmt.Sprint(b.err) {
		return fmt.Sprintf("%v and %v", a.err, b.err)
	}
	if !a.same(b) {
		return "they store different bytes"
	}
	return "they read different bytes"
}

// leaf judges an outcome that stands for many images.
func (e *explorer) leaf(box decision.Box, o *outcome, versions [][]int) error {
	e.tally.checked.Add(e.tally.checked, volume(versions))
	if err := e.legal.judge(o); err != nil {
		return e.fail(err, &scene{box: box, picks: firsts(versions), legal: e.legal})
	}
	if e.leaves++; e.leaves&(e.leaves-1) == 0 || e.leaves%1024 == 0 {
		if err := e.audit(box, o, versions); err != nil {
			return err
		}
	}
	e.keep(box, o, versions)
	if e.cfg.Shallow || o.stores == 0 {
		return nil
	}
	return e.nested(box, o, versions)
}

// audit recovers another image of those that a leaf stands for: the control of pruning.
func (e *explorer) audit(box decision.Box, o *outcome, versions [][]int) error {
	_, twin := e.prober.watch(box, e.anyOf(versions), true)
	e.report.Audits++
	if errors.Is(twin.err, ErrBypassed) {
		return e.fail(twin.err, nil)
	}
	if !o.same(twin) {
		return fmt.Errorf("%w: two images that are equal where it read recover differently: %s", ErrNotDeterministic, difference(o, twin))
	}
	return nil
}

func firsts(versions [][]int) []int {
	picks := make([]int, len(versions))
	for i, v := range versions {
		picks[i] = v[0]
	}
	return picks
}

func volume(versions [][]int) *big.Int {
	small, n := uint64(1), (*big.Int)(nil)
	for _, v := range versions {
		if small < 1<<31 {
			small *= uint64(len(v))
			continue
		}
		if n == nil {
			n = big.NewInt(1)
		}
		n.Mul(n, big.NewInt(int64(len(v))))
	}
	if n == nil {
		return new(big.Int).SetUint64(small)
	}
	return n.Mul(n, new(big.Int).SetUint64(small))
}
