package crash

import (
	"context"
	"errors"
	"testing"

	"github.com/safevma/safevma/pmem/crash/state"
	"github.com/safevma/safevma/pmem/medium"
)

// A store between two operations belongs to none, though the next one would make it.
func TestStoreBetweenOperations(t *testing.T) {
	w := pairWorkload("")
	w.Run = func(o *Ops[*pair]) error {
		set := func(p *pair) error { return p.m.StorePersist8(64, 7, 1) }
		return errors.Join(o.S.m.Store8(64, 7, 1), o.Do("set", set))
	}
	_, err := explore(t, Config{Models: adrOnly}, w)
	if f := wantFailure(t, err, errState); f.Operation != "create" {
		t.Errorf("in %s", f.Operation)
	}
}

// While a structure is created, it may be absent; another error is none of those that say so.
func TestHalfCreated(t *testing.T) {
	w := pairWorkload("")
	create, open := w.Create, w.Recover
	none, half := errors.New("none"), errors.New("half")
	w.Absent = func(err error) bool { return errors.Is(err, none) }
	w.Create = func(e *Env) (*pair, error) {
		p, err := create(e)
		return p, errors.Join(err, e.Medium.Store8(256, 1, 0), e.Medium.Store8(320, 1, 0), e.Medium.Persist(256, 72))
	}
	w.Recover = func(e *Env) (*pair, error) {
		a, err := e.Medium.Load8(256)
		b, err2 := e.Medium.Load8(320)
		if err := errors.Join(err, err2); err != nil {
			return nil, err
		}
		switch {
		case a == 0 && b == 0:
			return nil, none
		case a == 0 || b == 0:
			return nil, half
		}
		return open(e)
	}
	_, err := explore(t, Config{Models: adrOnly}, w)
	wantFailure(t, err, half)
}

// A replay knows whether the structure may be absent.
func TestReplayAbsent(t *testing.T) {
	_, err := Explore(context.Background(), Config{Models: []state.Model{PageCache}}, stackWorkload("name"))
	f := wantFailure(t, err, errUnlinked)
	if err := RunReplay(stackWorkload("name"), f.Replay); !errors.Is(err, errAbsent) {
		t.Errorf("the name is not there, and the replay says %v", err)
	}
}

// What goes past the medium is found at a sync too, though it is put right later.
func TestBypassedAtSync(t *testing.T) {
	w := pairWorkload("")
	w.Run = func(o *Ops[*pair]) error {
		return o.Do("set", func(p *pair) error {
			lent, err := p.m.View(512, 8)
			if err != nil {
				return err
			}
			lent[0] = 1
			err = p.set(1, 10)
			lent[0] = 0
			return err
		})
	}
	for _, model := range []state.Model{ADR, PageCache} {
		_, err := explore(t, Config{Models: []state.Model{model}}, w)
		wantFailure(t, err, ErrBypassed)
	}
}

// A second crash that has too many images is a sample, and says so.
func TestNestedSampled(t *testing.T) {
	w := pairWorkload("")
	open := w.Recover
	w.Recover = func(e *Env) (*pair, error) {
		p, err := open(e)
		for i := range int64(5) { // each of them is read by the recovery after it
			v, err2 := e.Medium.Load8(512 + i*64)
			err = errors.Join(err, err2, e.Medium.Store8(512+i*64, (v+1)%3, medium.Apply))
		}
		return p, errors.Join(err, e.Medium.Persist(512, 5*64))
	}
	r, err := explore(t, Config{Models: adrOnly, Recoveries: 20}, w)
	if err != nil {
		t.Fatal(err)
	}
	m := r.Models[0]
	if m.states.Cmp(&m.checked) != 0 || m.nestedStates.Cmp(&m.nestedChecked) <= 0 || m.PointsSampled == 0 || r.Verdict != "holds in the sample" {
		t.Errorf("%s: %+v", r.Verdict, m)
	}
	m.PointsSampled = 0
	if m.Complete() {
		t.Error("complete, without all states of the second crash")
	}
}

// A dump of something else than the medium takes the state before an operation for the one after
// it: whatever is said of images says nothing.
func TestBlindDump(t *testing.T) {
	w := pairWorkload("")
	last := ""
	dump := w.Dump
	w.Dump = func(p *pair) (string, error) {
		if text, err := dump(p); err != nil || text > last {
			last = text
		}
		return last, nil
	}
	w.Run = func(o *Ops[*pair]) error {
		return o.Do("set", func(p *pair) error { return p.set(1, 10) })
	}
	if _, err := explore(t, Config{Models: adrOnly}, w); !errors.Is(err, ErrBlind) {
		t.Errorf("not found: %v", err)
	}
}
