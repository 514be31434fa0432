package crash

import (
	"errors"
	"fmt"
	"slices"

	"github.com/safevma/safevma/pmem/crash/decision"
	"github.com/safevma/safevma/pmem/crash/state"
)

// control shows that the checks can fail, on this workload and by the same code: a state that
// the history does not allow must be refused. Where there is none, or it is accepted, nothing
// that the exploration says would mean anything.
func (e *explorer) control() error {
	if e.t.failed() > 0 || e.t.life != nil {
		return nil // the trace without the failure had it
	}
	if e.t.operations == 0 {
		return fmt.Errorf("%v: %w: no operation ran", e.model, ErrNothingChecked)
	}
	refused, err := 0, error(nil)
	if e.w.dump != nil {
		refused, err = e.wrongMoments()
	} else {
		refused, err = e.garbled()
	}
	if err != nil {
		return err
	}
	if e.report.Controls += refused; refused == 0 {
		return fmt.Errorf("%v: %w: no state of the history is refused at another moment of it, so that a lost operation would not be seen", e.model, ErrBlind)
	}
	return nil
}

// wrongMoments recovers what each acknowledgement left, in full, and holds it against the
// moments at which it is wrong.
func (e *explorer) wrongMoments() (refused int, err error) {
	image := slices.Clone(e.t.initial)
	var moments []*legal
	for i := range e.t.events {
		if n := e.t.events[i].note; n != nil && n.moment == acknowledged {
			moments = append(moments, n.legal)
		}
	}
	const enough = 8
	for i := range e.t.events {
		ev := &e.t.events[i]
		ev.put(image)
		if ev.note == nil || ev.note.moment != acknowledged || refused >= enough {
			continue
		}
		_, o := e.prober.run(decision.Box{Base: image}, nil)
		for _, l := range moments {
			if disjoint(l, ev.note.legal) {
				if l.judge(o) == nil {
					return 0, fmt.Errorf("%v: %w: the state after %s passes for the one after %s", e.model, ErrBlind, ev.note.name, l.when)
				}
				refused++
				break
			}
		}
	}
	return refused, nil
}

// disjoint: no state is right at both moments.
func disjoint(a, b *legal) bool {
	for dump := range a.dumps {
		if b.dumps[dump] {
			return false
		}
	}
	return !a.any && !b.any
}

// garbled spoils, block by block, what the workload left: Check must refuse some of it.
func (e *explorer) garbled() (refused int, err error) {
	image := slices.Clone(e.t.initial)
	for i := range e.t.events {
		e.t.events[i].put(image)
	}
	for b, hot := range e.prober.hot {
		if !hot {
			continue
		}
		block := image[b*decision.Block : (b+1)*decision.Block]
		garble(block)
		if _, o := e.prober.run(decision.Box{Base: image}, nil); e.lastLegal().judge(o) != nil {
			refused++
		}
		garble(block)
	}
	return refused, nil
}

// garble changes every byte, each in another way; twice is not at all.
func garble(block []byte) {
	for i := range block {
		block[i] ^= byte(i*37) | 1
	}
}

// lastLegal is what is legal at the end.
func (e *explorer) lastLegal() *legal {
	for i := len(e.t.events) - 1; i >= 0; i-- {
		if n := e.t.events[i].note; n != nil {
			return n.legal
		}
	}
	return &legal{absent: true}
}

var errSilent = errors.New("damage went unnoticed, and the state is wrong")

// damage flips bits in, and poisons, what recovery reads of the last image: what was never
// written as well.
func (e *explorer) damage() error {
	if e.cfg.Damage <= 0 {
		return nil
	}
	box := decision.Box{Base: slices.Clone(e.st.Now())}
	for _, read := range e.all(box) {
		if read.Off >= e.w.most {
			continue // the file system answers for its own
		}
		for range e.cfg.Damage {
			off, bit := read.Off+int64(e.random.IntN(len(read.Data))), byte(1)<<e.random.IntN(8)
			box.Base[off] ^= bit
			err := e.harm(box, fmt.Sprintf("bit flipped in byte %d, stored last by %s", off, e.storedBy(off)), nil)
			if box.Base[off] ^= bit; err != nil {
				return err
			}
		}
		block := read.Off / decision.Block
		e.prober.poison[block] = true
		err := e.harm(box, fmt.Sprintf("bytes %d..%d poisoned", block*decision.Block, (block+1)*decision.Block), []int64{block * decision.Block})
		if delete(e.prober.poison, block); err != nil {
			return err
		}
	}
	return nil
}

// all is what a recovery reads, in blocks that nothing writes too.
func (e *explorer) all(box decision.Box) []decision.Read {
	hot := e.prober.hot
	defer func() { e.prober.hot = hot }()
	e.prober.hot = slices.Repeat([]bool{true}, len(hot))
	path, _ := e.prober.run(box, nil)
	return path
}

// storedBy returns where the byte was stored last, until the moment that has come.
func (e *explorer) storedBy(off int64) string {
	for _, ev := range slices.Backward(e.t.events[:min(e.at+1, len(e.t.events))]) {
		if ev.Off <= off && off < ev.Off+int64(len(ev.Data)) {
			return chain(ev.PCs)
		}
	}
	return "somebody before this run"
}

// harm recovers a damaged image: it is reported, or the state is right.
func (e *explorer) harm(box decision.Box, what string, poisoned []int64) error {
	e.report.Damaged++
	_, o := e.prober.run(box, nil)
	switch err := e.legal.silent(o); {
	case err != nil:
		err = fmt.Errorf("%w: %s: %w", errSilent, what, err)
		return e.fail(err, &scene{
			box: decision.Box{Base: slices.Clone(box.Base), Layers: [][]*state.Cell{nil}}, legal: e.legal, damaged: true, poisoned: poisoned,
		})
	case o.err != nil:
		e.report.Refused++
	default:
		e.report.Unharmed++
	}
	return nil
}

// silent says what is wrong with the outcome of a damaged image: an error is right there, if it
// is not a panic.
func (l *legal) silent(o *outcome) error {
	if o.err != nil && !errors.Is(o.err, errPanic) && !errors.Is(o.err, ErrSteps) {
		return nil
	}
	return l.judge(o)
}
