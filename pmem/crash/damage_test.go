package crash

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/safevma/safevma/pmem/crash/state"
	"github.com/safevma/safevma/pmem/medium"
)

// A replay has the damage: it fails as long as that goes unnoticed, and passes once it is reported.
func TestDamageReplay(t *testing.T) {
	w := bitsWorkload("", 2)
	_, err := Explore(context.Background(), Config{Models: adrOnly, Damage: 4}, w)
	f := wantFailure(t, err, errSilent)
	mended := w
	mended.Recover = func(e *Env) (*bits, error) { return nil, errors.New("damaged") }
	if err := RunReplay(mended, f.Replay); err != nil {
		t.Errorf("reported: %v", err)
	}
	open := w.Recover
	w.Recover = func(e *Env) (*bits, error) {
		if _, err := e.Medium.Load8(0); err != nil {
			panic("a line that can't be read")
		}
		return open(e)
	}
	w.Dump = func(b *bits) (string, error) { return fmt.Sprint(b.n), nil } // flipped bits are no matter
	_, err = Explore(context.Background(), Config{Models: adrOnly, Damage: 1, Seed: 4}, w)
	f = wantFailure(t, err, errPanic)
	if len(f.Replay.Poisoned) != 1 || RunReplay(w, f.Replay) == nil {
		t.Errorf("the replay of a poisoned block passes: %v", f.Replay.Poisoned)
	}
	w.Recover = open
	if err := RunReplay(w, f.Replay); err != nil {
		t.Errorf("reported: %v", err)
	}
}

// What recovery reads and nobody wrote may be damaged too.
func TestDamageOfUnwritten(t *testing.T) {
	open := func(e *Env) (*medium.Medium, error) { return e.Medium, nil }
	w := Workload[*medium.Medium]{
		Size: 4096, Create: open, Recover: open,
		Run: func(o *Ops[*medium.Medium]) error {
			return o.Do("put", func(m *medium.Medium) error {
				return errors.Join(m.Store(64, []byte{1, 0, 0, 0, 0, 0, 0, 0, 254, 255, 255, 255, 255, 255, 255, 255}, 0), m.Persist(64, 16))
			})
		},
		Dump: func(m *medium.Medium) (string, error) {
			a, err := m.Load8(64)
			b, err2 := m.Load8(72)
			end, err3 := m.Load8(128) // never written
			if b != ^a {
				a = 0
				if end == 0 && b != 0 {
					return "", errors.New("torn")
				}
			}
			return fmt.Sprint(a, end), errors.Join(err, err2, err3)
		},
	}
	w.Recover = func(e *Env) (*medium.Medium, error) {
		a, _ := e.Medium.Load8(64)
		b, _ := e.Medium.Load8(72)
		if a != 0 && b != 0 && b != ^a {
			return nil, errors.New("torn")
		}
		return e.Medium, nil
	}
	_, err := explore(t, Config{Models: []state.Model{Kill}, Damage: 4, Shallow: true}, w)
	wantFailure(t, err, errSilent)
}
