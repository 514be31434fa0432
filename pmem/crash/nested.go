package crash

import (
	"bytes"
	"errors"

	"github.com/safevma/safevma/pmem/crash/decision"
	"github.com/safevma/safevma/pmem/crash/state"
)

// nested crashes again while an outcome's recovery runs. What a recovery did on one image it
// does on all that its leaf stands for: its stores lie over what is open below.
func (e *explorer) nested(box decision.Box, o *outcome, versions [][]int) error {
	st, err := state.NewOverlay(e.model, e.scratch)
	if err != nil {
		return err
	}
	below := decision.Box{Base: box.Base, Layers: [][]*state.Cell{narrow(box.Cells(), versions)}}
	fresh, at := false, 0
	visit := func() error {
		if !fresh {
			return nil
		}
		fresh = false
		over := decision.Box{Base: below.Base, Layers: [][]*state.Cell{below.Layers[0], st.Settled(), st.Cells()}}
		return e.again(over, &first{box, firsts(versions), at, o.events, false}, e.legal)
	}
	for at = range o.events {
		ev := &o.events[at]
		if settles(ev.Kind) {
			if err := visit(); err != nil {
				return err
			}
		}
		err := st.Apply(ev.Event, func() error { err := visit(); fresh = true; return err })
		if errors.Is(err, state.ErrMixed) {
			return e.fail(err, &scene{box: below, picks: make([]int, len(below.Cells())), legal: e.legal})
		}
		if err != nil {
			return err
		}
		fresh = fresh || len(ev.Data) > 0
	}
	return visit()
}

// narrow keeps of each cell the versions given.
func narrow(cells []*state.Cell, versions [][]int) []*state.Cell {
	var kept []*state.Cell
	for i, c := range cells {
		if len(versions[i]) == len(c.Versions) {
			kept = append(kept, c)
			continue
		}
		if len(versions[i]) == 1 && versions[i][0] == 0 && c.Versions[0].Mask == nil {
			continue // as the base has it
		}
		n := *c
		n.Versions = make([]state.Version, len(versions[i]))
		for j, v := range versions[i] {
			n.Versions[j] = c.Versions[v]
		}
		// Versions[0] is otherwise taken to be in the base.
		for j := range n.Versions {
			if n.Versions[j].Mask == nil {
				n.Versions[j].Mask = mask(n.Len)
			}
		}
		kept = append(kept, &n)
	}
	return kept
}

var ones = bytes.Repeat([]byte{1}, 1<<16)

// mask is that of a cell that writes all its bytes.
func mask(n int) []byte { return ones[:n:n] }

// again recovers the images of a crash in recovery.
func (e *explorer) again(box decision.Box, f *first, l *legal) error {
	total := state.Product(box.Cells())
	e.tally.nestedPoints++
	e.tally.nestedStates.Add(e.tally.nestedStates, total)
	visitor := decision.Visitor[*outcome]{
		Run: func(picks []int) ([]decision.Read, *outcome, error) {
			if e.second++; e.second > e.cfg.Recoveries {
				return nil, nil, errBudget
			}
			return e.probe(box, picks)
		},
		Leaf: func(o *outcome, versions [][]int) error {
			if err := l.judge(o); err != nil {
				return e.fail(err, &scene{box: box, picks: firsts(versions), legal: l, first: f})
			}
			return nil
		},
		MaxBytes: int(e.cfg.Memory / 2),
	}
	walk := e.deeper.Walk(box, visitor)
	err := walk.All()
	if errors.Is(err, errBudget) {
		e.tally.sampled = true
		return e.explain(e.few(box, walk))
	}
	if err == nil {
		e.tally.nestedChecked.Add(e.tally.nestedChecked, total)
	}
	return e.explain(err)
}

// few tries a few images of a crash in recovery, where all are too many. They don't count.
func (e *explorer) few(box decision.Box, walk *decision.Walk[*outcome]) error {
	const images = 16
	e.second -= images
	for range images {
		if ok, err := walk.One(box.Random(e.random)); err != nil || !ok {
			return ignoreBudget(err)
		}
	}
	return nil
}

// restart kills the process alone and recovers what the caches hold; then the power fails.
// Until recovery is through, the state may be any that is legal now; after that it is the one
// that recovery showed.
func (e *explorer) restart() error {
	if e.model.Domain == state.Kill || e.model.Domain == state.EADR {
		return nil
	}
	seen := decision.Box{Base: e.st.Now(), Layers: [][]*state.Cell{nil}}
	_, o := e.prober.run(seen, nil)
	if len(e.prober.cold) > 0 {
		return errCold
	}
	e.report.Recoveries++
	if err := e.legal.judge(o); err != nil {
		return e.fail(err, &scene{box: seen, legal: e.legal})
	}
	st, fresh := e.st.Clone(), true
	st.Exit()
	for at, ev := range o.events {
		if settles(ev.Kind) && fresh {
			if err := e.again(decision.Box{Base: st.Base(), Layers: [][]*state.Cell{st.Cells()}}, &first{seen, nil, at, o.events, true}, e.legal); err != nil {
				return err
			}
			fresh = false
		}
		ev.ID, ev.Thread, ev.Index = ev.ID+1<<30, ev.Thread+1<<30, ev.Index+len(e.t.events) // not those of the workload
		if err := st.Apply(ev.Event, nil); errors.Is(err, state.ErrMixed) {
			return e.fail(err, &scene{box: seen, legal: e.legal})
		} else if err != nil {
			return err
		}
		fresh = fresh || len(ev.Data) > 0
	}
	shown := &legal{dumps: map[string]bool{o.dump: true}, absent: o.absent, any: e.legal.any, when: "restart"}
	return e.again(decision.Box{Base: st.Base(), Layers: [][]*state.Cell{st.Cells()}}, &first{seen, nil, len(o.events), o.events, true}, shown)
}
