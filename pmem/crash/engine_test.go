package crash

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/safevma/safevma/pmem/crash/state"
	"github.com/safevma/safevma/pmem/medium"
)

// pair is two words, lines apart, that change together under an undo log.
//
//	0    log: valid word; 8, 16: the old words (one line, so that valid comes last)
//	64   first word
//	128  second word
type pair struct {
	m    *medium.Medium
	flaw string
	lock *medium.Mutex
}

func openPair(e *Env, flaw string) (*pair, error) {
	p := &pair{m: e.Medium, flaw: flaw, lock: e.Medium.NewMutex()}
	valid, err := p.m.Load8(0)
	if err != nil || valid == 0 {
		return p, err
	}
	a, err := p.m.Load8(8)
	b, err2 := p.m.Load8(16)
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	if flaw == "recovery" { // the log goes before what it protects is back
		return p, errors.Join(p.clear(), p.put(a, b))
	}
	return p, errors.Join(p.put(a, b), p.clear())
}

func (p *pair) put(a, b uint64) error {
	return errors.Join(p.m.Store8(64, a, 1), p.m.Store8(128, b, 1), p.m.Persist(64, 72))
}

func (p *pair) clear() error {
	return errors.Join(p.m.Store8(0, 0, 0), p.m.Persist(0, 8))
}

func (p *pair) get() (a, b uint64, err error) {
	a, err = p.m.Load8(64)
	b, err2 := p.m.Load8(128)
	return a, b, errors.Join(err, err2)
}

func (p *pair) set(a, b uint64) error {
	p.lock.Lock()
	defer p.lock.Unlock()
	return p.update(a, b)
}

func (p *pair) update(a, b uint64) error {
	oldA, oldB, err := p.get()
	if err != nil {
		return err
	}
	err = errors.Join(p.m.Store8(8, oldA, 0), p.m.Store8(16, oldB, 0), p.m.Store8(0, 1, 0), p.m.Persist(0, 24))
	if p.flaw == "unlogged" {
		err = p.clear()
	}
	return errors.Join(err, p.put(a, b), p.clear())
}

func (p *pair) dump() (string, error) {
	a, b, err := p.get()
	return fmt.Sprintf("%d,%d", a, b), err
}

func pairWorkload(flaw string) Workload[*pair] {
	open := func(e *Env) (*pair, error) { return openPair(e, flaw) }
	return Workload[*pair]{
		Size: 4096, Create: open, Recover: open, Dump: (*pair).dump,
		Run: func(o *Ops[*pair]) error {
			for i := range uint64(3) {
				if err := o.Do(fmt.Sprintf("set %d", i), func(p *pair) error { return p.set(i+1, 10*i+10) }); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func explore[S any](t *testing.T, cfg Config, w Workload[S]) (*Report, error) {
	t.Helper()
	r, err := Explore(context.Background(), cfg, w)
	t.Logf("%v", r)
	return r, err
}

// adrOnly keeps tests short where the model does not matter.
var adrOnly = []state.Model{ADR}

func wantFailure(t *testing.T, err error, kind error) *Failure {
	t.Helper()
	var f *Failure
	if !errors.As(err, &f) || !errors.Is(err, kind) {
		t.Fatalf("got %v, want a failure: %v", err, kind)
	}
	return f
}

// A second crash, in recovery, is what finds a recovery that can't be interrupted.
func TestNested(t *testing.T) {
	if _, err := explore(t, Config{}, pairWorkload("")); err != nil {
		t.Error(err)
	}
	_, err := explore(t, Config{}, pairWorkload("unlogged"))
	wantFailure(t, err, errState)
	_, err = explore(t, Config{Models: adrOnly}, pairWorkload("recovery"))
	f := wantFailure(t, err, errState)
	if !f.Nested {
		t.Error("not found by the second crash")
	}
	for _, p := range f.Parts {
		for _, s := range slices.Concat(p.There, p.Lost) {
			if !strings.Contains(s, "crash/engine_test.go") {
				t.Errorf("no place: %s", s)
			}
		}
	}
	if _, err := explore(t, Config{Shallow: true}, pairWorkload("recovery")); err != nil {
		t.Errorf("one crash alone finds it, so that the test says nothing of the second: %v", err)
	}
}

// Pruned and unpruned exploration check the same, and the pruned one recovers less.
func TestPruning(t *testing.T) {
	for _, model := range []state.Model{Kill, ADR, EADR, PageCache, PageCacheTorn} {
		var reports []*ModelReport
		for _, unpruned := range []bool{false, true} {
			r, err := explore(t, Config{Models: []state.Model{model}, Unpruned: unpruned, Shallow: true}, idleWorkload(6))
			if err != nil {
				t.Fatal(err)
			}
			reports = append(reports, r.Models[0])
		}
		a, b := reports[0], reports[1]
		if a.States != b.States || a.StatesChecked != b.StatesChecked || a.Images != b.Images || a.CrashPoints != b.CrashPoints || a.ImagesChecked != a.Images {
			t.Errorf("%v: pruned %+v, unpruned %+v", model, a, b)
		}
		if model.Domain != state.Kill && model.Domain != state.EADR && a.Recoveries*4 > b.Recoveries {
			t.Errorf("%v: %d recoveries instead of %d", model, a.Recoveries, b.Recoveries)
		}
	}
}

// idleWorkload keeps lines dirty that recovery does not look at.
func idleWorkload(lines int64) Workload[*bits] {
	w := bitsWorkload("", 3)
	run := w.Run
	w.Run = func(o *Ops[*bits]) error {
		for i := range lines {
			if err := errors.Join(o.S.m.Store8(4096+i*512, 1, 0), o.S.m.Store8(4096+8+i*512, 2, 0)); err != nil {
				return err
			}
		}
		return run(o)
	}
	return w
}

// Where the images of a crash point are too many, the report says so.
func TestSampled(t *testing.T) {
	w := idleWorkload(8)
	w.Check = func(b *bits) error { // reads it all
		var buf [4096]byte
		return b.m.Read(4096, buf[:])
	}
	r, err := explore(t, Config{Models: adrOnly, Recoveries: 100, Samples: 50}, w)
	if err != nil {
		t.Fatal(err)
	}
	m := r.Models[0]
	if r.Verdict != "holds in the sample" || m.PointsSampled == 0 || m.states.Cmp(&m.checked) <= 0 || m.images.Cmp(&m.seen) <= 0 || m.Complete() {
		t.Errorf("%s: %+v", r.Verdict, m)
	}
	if !strings.Contains(r.String(), "SAMPLED") {
		t.Error("the text does not say that it is a sample")
	}
	w.Dump = func(b *bits) (string, error) { // and a flaw is found in a sample
		s, err := b.dump()
		v, err2 := b.m.Load8(4096)
		return fmt.Sprintf("%s %d", s, v), errors.Join(err, err2)
	}
	_, err = explore(t, Config{Models: adrOnly, Recoveries: 5, Samples: 50}, w)
	wantFailure(t, err, errState)
}

// A bounded memory costs recoveries, not images.
func TestBounded(t *testing.T) {
	w := idleWorkload(3)
	w.Check = func(b *bits) error { var buf [2048]byte; return b.m.Read(4096, buf[:]) }
	free, err := explore(t, Config{Models: adrOnly, Shallow: true}, w)
	if err != nil {
		t.Fatal(err)
	}
	bound, err := explore(t, Config{Models: adrOnly, Shallow: true, Memory: 6000}, w)
	if err != nil {
		t.Fatal(err)
	}
	a, b := free.Models[0], bound.Models[0]
	if a.ImagesChecked != b.ImagesChecked || a.StatesChecked != b.StatesChecked || a.Recoveries >= b.Recoveries {
		t.Errorf("%+v and %+v", a, b)
	}
}

func TestQuick(t *testing.T) {
	full, err := explore(t, Config{Models: adrOnly}, bitsWorkload("", 8))
	if err != nil {
		t.Fatal(err)
	}
	quick, err := explore(t, Config{Models: adrOnly, Quick: true}, bitsWorkload("", 8))
	if err != nil {
		t.Fatal(err)
	}
	a, b := full.Models[0], quick.Models[0]
	if b.PointsSkipped == 0 || b.CrashPoints+b.PointsSkipped != a.CrashPoints || quick.Verdict != "holds in the sample" || !strings.Contains(quick.String(), "QUICK") {
		t.Errorf("%+v", b)
	}
	_, err = explore(t, Config{Models: adrOnly, Quick: true}, bitsWorkload("flush", 8))
	wantFailure(t, err, errState)
}

func TestProgress(t *testing.T) {
	u, err := bitsWorkload("", 40).untyped()
	if err != nil {
		t.Fatal(err)
	}
	tr, err := record(u, ADR, how{})
	if err != nil {
		t.Fatal(err)
	}
	var told []Progress
	cfg := Config{Progress: func(p Progress) { told = append(told, p) }}
	e := newExplorer(context.Background(), cfg.withDefaults(), u, ADR)
	defer e.close()
	e.told = time.Now().Add(-time.Hour)
	if err := e.trace(tr, 3); err != nil {
		t.Fatal(err)
	}
	if len(told) == 0 || told[0].Model != ADR || told[0].Schedule != 3 || told[0].Events != len(tr.events) {
		t.Errorf("%+v", told)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r, err := Explore(ctx, Config{}, bitsWorkload("", 2))
	if !errors.Is(err, context.Canceled) || r.Verdict != "unknown" || r.Error == "" {
		t.Errorf("%v: %v", r, err)
	}
}
