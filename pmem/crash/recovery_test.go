package crash

import (
	"errors"
	"testing"
)

// A recovery that stores something else each time has states in a second crash that nobody looked at.
func TestRecoveryStoresTheSame(t *testing.T) {
	w := pairWorkload("")
	open := w.Recover
	turn := uint64(0)
	w.Recover = func(e *Env) (*pair, error) {
		p, err := open(e)
		turn++
		return p, errors.Join(err, e.Medium.Store8(512, turn, 0), e.Medium.Persist(512, 8))
	}
	_, err := explore(t, Config{Models: adrOnly}, w)
	if !errors.Is(err, ErrNotDeterministic) {
		t.Errorf("%v", err)
	}
}

// A store that goes past the medium in recovery fails the run, as one of the workload does.
func TestRecoveryBypasses(t *testing.T) {
	w := pairWorkload("")
	open := w.Recover
	w.Recover = func(e *Env) (*pair, error) {
		v, err := e.Medium.View(512, 8)
		if err == nil {
			v[0] = 1
		}
		p, err2 := open(e)
		return p, errors.Join(err, err2)
	}
	_, err := explore(t, Config{Models: adrOnly}, w)
	if !errors.Is(err, ErrBypassed) {
		t.Errorf("%v", err)
	}
}
