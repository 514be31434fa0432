package crash

import (
	"math/rand/v2"
	"slices"

	"github.com/safevma/safevma/pmem/crash/state"
	"github.com/safevma/safevma/pmem/medium"
)

// Plain explores as one would without this package's means: it copies each image of each
// crash point, recovers it, checks it. It returns how many that were.
func Plain[S any](model state.Model, w Workload[S]) (states int, err error) {
	u, err := w.untyped()
	if err != nil {
		return 0, err
	}
	t, err := record(u, model, how{})
	if err != nil {
		return 0, err
	}
	st, err := state.New(model, slices.Clone(t.initial))
	if err != nil {
		return 0, err
	}
	p := plainly{u: u, model: model, legal: &legal{absent: true}}
	fresh := false
	point := func() error {
		defer func() { fresh = false }()
		if !fresh {
			return nil
		}
		return p.images(st)
	}
	for i, e := range t.events {
		if settles(e.Kind) || e.note != nil {
			if err := point(); err != nil {
				return 0, err
			}
		}
		if e.note != nil {
			p.legal, fresh = e.note.legal, e.note.moment == acknowledged && i >= t.created
		}
		fresh = fresh || i > t.created && len(e.Data) > 0
		if err := st.Apply(e.Event, nil); err != nil {
			return 0, err
		}
		if e.note != nil {
			if err := point(); err != nil {
				return 0, err
			}
		}
	}
	return p.states, point()
}

type plainly struct {
	u      *workload
	model  state.Model
	legal  *legal
	states int
}

// images counts through the versions of the cells.
func (p *plainly) images(st *state.State) error {
	cells := st.Cells()
	picks := make([]int, len(cells))
	for {
		image := slices.Clone(st.Base())
		for i, c := range cells {
			c.Versions[picks[i]].Put(image[c.Off:], 0, c.Len)
		}
		p.states++
		if err := p.legal.judge(p.recover(image)); err != nil {
			return err
		}
		i := 0
		for ; i < len(picks); i++ {
			if picks[i]++; picks[i] < len(cells[i].Versions) {
				break
			}
			picks[i] = 0
		}
		if i == len(picks) {
			return nil
		}
	}
}

func (p *plainly) recover(image []byte) *outcome {
	o := &outcome{}
	o.err = guard(func() error {
		m, err := p.u.newMedium(image, p.model, deaf{})
		if err != nil {
			return err
		}
		s, err := p.u.recover(&Env{Medium: m, Rand: rand.New(rand.NewPCG(1, 1))})
		if err != nil {
			return err
		}
		if o.dump, err = p.u.dump(s); err != nil {
			return err
		}
		return p.u.check(s)
	})
	return o
}

// deaf records nothing.
type deaf struct{}

func (deaf) Event(medium.Event) error { return nil }
func (deaf) Read(int64, int64) error  { return nil }
