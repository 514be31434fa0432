package crash

import (
	"errors"
	"fmt"
	"testing"

	"github.com/safevma/safevma/pmem/crash/state"
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

// Stores of both kinds to one line are an error of recovery too. No image shows it, so there is
// none to replay.
func TestRecoveryMixes(t *testing.T) {
	w := pairWorkload("")
	open := w.Recover
	w.Recover = func(e *Env) (*pair, error) {
		p, err := open(e)
		thread := e.Medium.Pin()
		defer thread.Unpin()
		return p, errors.Join(err, thread.Store8(512, 1, 0), thread.Stream(520, make([]byte, 8), 0), thread.Fence())
	}
	_, err := explore(t, Config{Models: adrOnly}, w)
	if f := wantFailure(t, err, state.ErrMixed); f.Replay != nil {
		t.Error("a replay that shows nothing")
	}
}

// Nobody can fence for a process that was killed: who stores again what that one streamed makes
// no error.
func TestRestartRewrites(t *testing.T) {
	w := pairWorkload("")
	w.Dump = func(p *pair) (string, error) {
		v, err := p.m.Load8(512)
		return fmt.Sprint(v), err
	}
	w.Recover = func(e *Env) (*pair, error) {
		v, err := e.Medium.Load8(512)
		return &pair{m: e.Medium}, errors.Join(err, e.Medium.StorePersist8(512, v, 0))
	}
	w.Run = func(o *Ops[*pair]) error {
		return o.Do("write", func(p *pair) error { return p.m.Write(512, []byte{1, 0, 0, 0, 0, 0, 0, 0}, 0) })
	}
	if _, err := explore(t, Config{Models: []state.Model{ADR, EADR}, Restart: true}, w); err != nil {
		t.Error(err)
	}
}
