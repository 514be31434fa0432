package crash

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/safevma/safevma/pmem/crash/state"
	"github.com/safevma/safevma/pmem/medium"
)

// Erased bytes are found where no recovery looks: in a line that was not flushed.
func TestErased(t *testing.T) {
	secret := []byte("0123456789abcdefghijklmn")
	workload := func(scrub func(m *medium.Medium) error) Workload[*bits] {
		w := bitsWorkload("", 2)
		run := w.Run
		w.Run = func(o *Ops[*bits]) error {
			m := o.S.m
			return errors.Join(m.Store(4100, secret, 0), m.Persist(4100, 24), scrub(m), o.Erased(secret), run(o))
		}
		return w
	}
	zeros := make([]byte, len(secret))
	all := func(m *medium.Medium) error { return errors.Join(m.Store(4100, zeros, 0), m.Persist(4100, 24)) }
	r, err := explore(t, Config{}, workload(all))
	if err != nil || r.Models[0].CanarySearches == 0 {
		t.Errorf("%v", err)
	}
	for name, scrub := range map[string]func(m *medium.Medium) error{
		"not at all": func(*medium.Medium) error { return nil },
		"unflushed":  func(m *medium.Medium) error { return m.Store(4100, zeros, 0) },
		"in part":    func(m *medium.Medium) error { return errors.Join(m.Store(4100, zeros[:16], 0), m.Persist(4100, 24)) },
		"copied": func(m *medium.Medium) error {
			return errors.Join(all(m), m.Store(8192-100, secret[8:16], 0), m.Store(8192-100, zeros[:8], 0))
		},
	} {
		_, err := explore(t, Config{Models: adrOnly}, workload(scrub))
		t.Log(name)
		wantFailure(t, err, ErrResidue)
	}
}

// A store that goes past the medium fails the run, although the state is right.
func TestBypassed(t *testing.T) {
	w := pairWorkload("")
	run := w.Run
	w.Run = func(o *Ops[*pair]) error {
		lent, err := o.S.m.View(4000, 8)
		if err != nil {
			return err
		}
		lent[0] = 1
		return run(o)
	}
	_, err := explore(t, Config{}, w)
	wantFailure(t, err, ErrBypassed)
}

func TestMixed(t *testing.T) {
	w := pairWorkload("")
	w.Run = func(o *Ops[*pair]) error {
		return o.Do("mix", func(p *pair) error {
			return errors.Join(p.set(1, 2), p.m.Store8(512, 1, 0), p.m.Write(520, make([]byte, 8), 0))
		})
	}
	_, err := explore(t, Config{Models: adrOnly}, w)
	wantFailure(t, err, state.ErrMixed)
}

// The control of the oracle, and runs that check nothing.
func TestNothingChecked(t *testing.T) {
	blind := pairWorkload("unlogged")
	blind.Dump = func(p *pair) (string, error) { return "fine", nil }
	_, err := explore(t, Config{}, blind)
	if !errors.Is(err, ErrBlind) {
		t.Errorf("a dump that says nothing: %v", err)
	}
	blind.Dump, blind.Check = nil, func(*pair) error { return nil }
	if _, err = explore(t, Config{}, blind); !errors.Is(err, ErrBlind) {
		t.Errorf("a check that says nothing: %v", err)
	}
	idle := pairWorkload("unlogged")
	idle.Run = func(*Ops[*pair]) error { return nil }
	if _, err = explore(t, Config{}, idle); !errors.Is(err, ErrNothingChecked) {
		t.Errorf("a workload without operations: %v", err)
	}
	idle.Run = func(o *Ops[*pair]) error { return o.Do("nothing", func(*pair) error { return nil }) }
	if _, err = explore(t, Config{}, idle); !errors.Is(err, ErrBlind) {
		t.Errorf("a workload whose operations do nothing: %v", err)
	}
	reads := 0
	stale := pairWorkload("")
	stale.Dump = func(p *pair) (string, error) {
		reads++
		return fmt.Sprint(reads), nil
	}
	if _, err = explore(t, Config{}, stale); err == nil {
		t.Error("a dump of something else")
	}
}

// A recovery that depends on what it did not read is found out by recovering another image
// of the same leaf.
func TestPastTheMedium(t *testing.T) {
	u, err := idleWorkload(6).untyped()
	if err != nil {
		t.Fatal(err)
	}
	tr, err := record(u, ADR, how{})
	if err != nil {
		t.Fatal(err)
	}
	e := newExplorer(context.Background(), Config{}.withDefaults(), u, ADR)
	defer e.close()
	if err := e.trace(tr, 0); err != nil {
		t.Fatal(err)
	}
	dump := u.dump
	u.dump = func(s any) (string, error) {
		text, err := dump(s)
		if e.prober.image[4096] != 0 {
			text += " "
		}
		return text, err
	}
	if err := e.trace(tr, 0); !errors.Is(err, ErrNotDeterministic) {
		t.Errorf("got %v", err)
	}
}

// So is one that does something else each time.
func TestNotDeterministic(t *testing.T) {
	w, calls := idleWorkload(6), 0
	dump := w.Dump
	w.Dump = func(b *bits) (string, error) {
		if calls++; calls > 6 && calls%2 == 0 {
			b.m.Load8(128)
		}
		return dump(b)
	}
	if _, err := explore(t, Config{Models: adrOnly}, w); !errors.Is(err, ErrNotDeterministic) {
		t.Error(err)
	}
}

func TestLints(t *testing.T) {
	w := pairWorkload("")
	w.Regions = []Region{{Name: "log", Off: 0, Len: 64, Classes: []medium.Class{0}}, {Name: "words", Off: 64, Len: 128, Classes: []medium.Class{1}}}
	r, err := explore(t, Config{Models: adrOnly, StrictLints: true}, w)
	if err != nil || len(r.Models[0].Lints) > 0 {
		t.Errorf("%v", err)
	}
	w.Run = func(o *Ops[*pair]) error {
		return o.Do("waste", func(p *pair) error {
			m := p.m.Pin()
			defer m.Unpin()
			return errors.Join(p.set(1, 2), m.Store8(512, 1, 0), m.Flush(512, 8), m.Flush(512, 8), m.Flush(1024, 8), m.Fence(), m.Fence(),
				p.m.Store8(64, 1, 0), p.m.Persist(64, 8))
		})
	}
	r, err = explore(t, Config{Models: adrOnly}, w)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, l := range r.Models[0].Lints {
		found[l.Kind] = true
		if !strings.HasPrefix(l.Place, "crash/oracle_test.go:") {
			t.Errorf("%v", l)
		}
	}
	want := map[string]bool{LintCleanFlush: true, LintRedundantFlush: true, LintIdleFence: true, LintWrongClass + " in words": true}
	if !maps.Equal(found, want) {
		t.Errorf("%v", found)
	}
	_, err = explore(t, Config{Models: adrOnly, StrictLints: true}, w)
	wantFailure(t, err, ErrLint)
}

// Creation that is interrupted is nothing or whole.
func TestCreation(t *testing.T) {
	errNone := errors.New("no pair")
	w := pairWorkload("")
	open := w.Recover
	magic := func(late bool) Workload[*pair] {
		w.Absent = func(err error) bool { return errors.Is(err, errNone) }
		w.Create = func(e *Env) (*pair, error) {
			write := func() error { return errors.Join(e.Medium.Store8(256, 1, 0), e.Medium.Persist(256, 8)) }
			var err error
			if !late {
				err = write()
			}
			p := &pair{m: e.Medium, lock: e.Medium.NewMutex()}
			if err := errors.Join(err, p.put(5, 50)); err != nil || !late {
				return p, err
			}
			return p, write()
		}
		w.Recover = func(e *Env) (*pair, error) {
			if v, err := e.Medium.Load8(256); err != nil || v == 0 {
				return nil, errors.Join(err, errNone)
			}
			return open(e)
		}
		return w
	}
	if _, err := explore(t, Config{}, magic(true)); err != nil {
		t.Error(err)
	}
	_, err := explore(t, Config{Models: adrOnly}, magic(false))
	if f := wantFailure(t, err, errState); f.Operation != "create" {
		t.Errorf("in %s", f.Operation)
	}
}

// Damage of what is read is reported, or does no harm; a structure without a checksum does
// not notice.
func TestDamage(t *testing.T) {
	_, err := Explore(context.Background(), Config{Models: adrOnly, Damage: 4}, bitsWorkload("", 2))
	wantFailure(t, err, errSilent)
	w := bitsWorkload("", 2)
	w.Check = func(b *bits) error {
		for i := range b.n {
			v, err := b.m.Load8(i * 128)
			c, err2 := b.m.Load8(i*128 + 8)
			if err := errors.Join(err, err2); err != nil || c != ^v {
				return errors.Join(err, errTorn)
			}
		}
		if b.n != 2 {
			return errors.New("no end mark")
		}
		return nil
	}
	w.Dump = nil
	w.Run = func(o *Ops[*bits]) error { return nil }
	w.Create = func(e *Env) (*bits, error) { // all before the history begins
		b, err := openBits(e, "")
		return b, errors.Join(err, b.add(7), b.add(8))
	}
	w.Run = func(o *Ops[*bits]) error { return o.Do("rest", func(b *bits) error { return b.m.Store8(7000, 1, 0) }) }
	r, err := explore(t, Config{Models: adrOnly, Damage: 4}, w)
	if err != nil {
		t.Fatal(err)
	}
	if m := r.Models[0]; m.Damaged == 0 || m.Refused == 0 {
		t.Errorf("%+v", m)
	}
}
