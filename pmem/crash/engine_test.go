package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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
	if f := wantFailure(t, err, errState); !f.Nested {
		t.Error("not found by the second crash")
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
	tr, err := record(u, ADR, 0)
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
		if !strings.HasPrefix(l.Place, "crash/engine_test.go:") {
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

// counter is a model with one number.
type counter struct{ n uint64 }

func (c *counter) Clone() Model   { d := *c; return &d }
func (c *counter) String() string { return fmt.Sprintf("%d,%d", c.n, 10*c.n) }

// adders let goroutines count, each reading what another one made.
func adders(flaw string) Workload[*pair] {
	w := pairWorkload("")
	w.Model = &counter{}
	w.Run = func(o *Ops[*pair]) error {
		for range 2 {
			o.Go(func(o *Ops[*pair]) error {
				for range 2 {
					err := o.Apply("add", func(p *pair) (string, error) { return p.add(flaw) },
						func(m Model) string { c := m.(*counter); c.n++; return fmt.Sprint(c.n) })
					if err != nil {
						return err
					}
				}
				return nil
			})
		}
		return nil
	}
	return w
}

func (p *pair) add(flaw string) (string, error) {
	if flaw != "race" {
		p.lock.Lock()
		defer p.lock.Unlock()
	}
	a, _, err := p.get()
	if err != nil {
		return "", err
	}
	if flaw == "visible" { // seen by others before it is durable
		err = errors.Join(p.m.Store8(64, a+1, 1), p.m.Store8(128, 10*a+10, 1))
		p.lock.Unlock()
		err = errors.Join(err, p.m.Persist(64, 72))
		p.lock.Lock()
		return fmt.Sprint(a + 1), err
	}
	if flaw == "deadlock" {
		p.lock.Lock()
	}
	return fmt.Sprint(a + 1), p.update(a+1, 10*a+10)
}

func TestGoroutines(t *testing.T) {
	r, err := explore(t, Config{Models: adrOnly, Schedules: 30}, adders(""))
	if err != nil {
		t.Fatal(err)
	}
	if m := r.Models[0]; m.SchedulesTried != 30 || m.Schedules < 2 {
		t.Errorf("%d schedules of %d", m.Schedules, m.SchedulesTried)
	}
	_, err = explore(t, Config{Models: adrOnly, Schedules: 30}, adders("race"))
	wantFailure(t, err, ErrOrder)
	_, err = explore(t, Config{Models: adrOnly, Schedules: 30}, adders("deadlock"))
	wantFailure(t, err, ErrDeadlock)
	_, err = explore(t, Config{Models: adrOnly, Schedules: 30}, adders("visible"))
	wantFailure(t, err, errState)
	w := adders("")
	w.Model = nil
	if _, err := explore(t, Config{Models: adrOnly}, w); err == nil {
		t.Error("operations that overlap, without a model")
	}
}

// The same seed makes the same trace.
func TestSeed(t *testing.T) {
	u, err := adders("").untyped()
	if err != nil {
		t.Fatal(err)
	}
	distinct := map[string]bool{}
	for seed := range uint64(5) {
		var last string
		for range 3 {
			tr, err := record(u, ADR, seed)
			if err != nil {
				t.Fatal(err)
			}
			text := fmt.Sprint(plain(tr.events))
			if last != "" && text != last {
				t.Fatal("one seed, two traces")
			}
			last = text
		}
		distinct[last] = true
	}
	if len(distinct) < 2 {
		t.Error("all seeds make one trace")
	}
}

func TestPanicAndHang(t *testing.T) {
	w := pairWorkload("")
	open := w.Recover
	w.Recover = func(e *Env) (*pair, error) {
		if v, _ := e.Medium.Load8(64); v == 2 {
			var none []int
			_ = none[v]
		}
		return open(e)
	}
	_, err := explore(t, Config{Models: adrOnly}, w)
	wantFailure(t, err, errPanic)
	w.Recover = func(e *Env) (*pair, error) {
		for {
			if v, _ := e.Medium.Load8(64); v != 2 {
				return open(e)
			}
		}
	}
	_, err = explore(t, Config{Models: adrOnly}, w)
	wantFailure(t, err, ErrSteps)
}

// After a kill, recovery may show what a power failure then takes back.
func TestRestart(t *testing.T) {
	w := pairWorkload("")
	w.Run = func(o *Ops[*pair]) error {
		err := o.Do("set", func(p *pair) error { return p.set(1, 10) })
		return errors.Join(err, o.Relaxed("poke", func(p *pair) error { return p.m.Store8(64, 2, 1) }))
	}
	if _, err := explore(t, Config{Models: adrOnly}, w); err != nil {
		t.Error(err)
	}
	_, err := explore(t, Config{Models: adrOnly, Restart: true}, w)
	wantFailure(t, err, errState)
	open := w.Recover
	w.Recover = func(e *Env) (*pair, error) { // what it shows it makes durable first
		p, err := open(e)
		if err == nil {
			err = p.m.Persist(0, 136)
		}
		return p, err
	}
	if _, err := explore(t, Config{Models: adrOnly, Restart: true}, w); err != nil {
		t.Error(err)
	}
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

// The counterexample names the one line that was lost, and the store into it.
func TestCounterexample(t *testing.T) {
	w := idleWorkload(6)
	run := w.Run
	w.Run = func(o *Ops[*bits]) error { o.S.flaw = "flush"; return run(o) }
	w.Check = func(b *bits) error { var buf [4096]byte; return b.m.Read(4096, buf[:]) }
	_, err := explore(t, Config{Models: adrOnly, Recoveries: 1 << 20}, w)
	f := wantFailure(t, err, errState)
	lost := 0
	for _, p := range f.Parts {
		if len(p.Lost) > 0 {
			lost++
			if p.Off >= 4096 {
				t.Errorf("it blames a line that has nothing to do with it: %+v", p)
			}
		}
		for _, s := range slices.Concat(p.There, p.Lost) {
			if !strings.Contains(s, "crash/e") {
				t.Errorf("no place: %s", s)
			}
		}
	}
	if lost != 1 {
		t.Errorf("%d lines are lost", lost)
	}
}

// A replay file shows the failure again, and passes on the mended code.
func TestReplay(t *testing.T) {
	_, err := explore(t, Config{Models: adrOnly}, pairWorkload("recovery"))
	f := wantFailure(t, err, errState)
	file, err := WriteReplay(filepath.Join(t.TempDir(), "new"), "a/b c", f.Replay)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ParseReplay(text)
	if err != nil {
		t.Fatal(err)
	}
	_, err = explore(t, Config{Models: adrOnly}, bitsWorkload("flush", 3))
	f = wantFailure(t, err, errState)
	if err := RunReplay(bitsWorkload("flush", 3), f.Replay); !errors.Is(err, errState) {
		t.Errorf("it does not fail again: %v", err)
	}
	if err := RunReplay(pairWorkload(""), r); !errors.Is(err, errState) {
		t.Log("the nested image is one that only the broken recovery makes:", err)
	}
	r.Size++
	if err := RunReplay(pairWorkload(""), r); !errors.Is(err, ErrReplay) {
		t.Error(err)
	}
	for _, bad := range []string{"", "{}", `{"format":"safevma.crash-replay/v1"}`, `{"format":"safevma.crash-replay/v1","size":1,"model":{"domain":"adr","unit":64},"image":"AA=="}`} {
		r, err := ParseReplay([]byte(bad))
		if err == nil {
			_, err = r.image()
		}
		if !errors.Is(err, ErrReplay) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzParseReplay(f *testing.F) {
	r := newReplay(&Failure{Model: ADR}, make([]byte, 64), &legal{})
	text, err := r.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseReplay(text)
		if err != nil {
			return
		}
		if image, err := r.image(); err == nil && int64(len(image)) != r.Size {
			t.Error("an image of another size")
		}
	})
}

// fatal is what a failing test of Run looks like.
type fatal struct {
	*testing.T
	failed string
}

func (f *fatal) Fatalf(format string, args ...any) { f.failed += fmt.Sprintf(format, args...) }

func TestRun(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv(ReportVariable, "reports")
	f := &fatal{T: t}
	Run(f, Config{Models: adrOnly}, bitsWorkload("", 3))
	if f.failed != "" {
		t.Error(f.failed)
	}
	Run(f, Config{Models: adrOnly}, bitsWorkload("flush", 3))
	if !strings.Contains(f.failed, ReplayVariable+"=testdata/crash/TestRun.json go test") {
		t.Error(f.failed)
	}
	var report Report
	text, err := os.ReadFile("reports/TestRun.json")
	if err == nil {
		err = json.Unmarshal(text, &report)
	}
	if err != nil || report.Format != ReportFormat || report.Verdict != "broken" || report.Failure == nil || len(report.Failure.Parts) == 0 {
		t.Errorf("%v: %s", err, text)
	}
	t.Setenv(ReplayVariable, "testdata/crash/TestRun.json")
	again := &fatal{T: t}
	if Run(again, Config{}, bitsWorkload("flush", 3)); !strings.Contains(again.failed, "still fails") {
		t.Error(again.failed)
	}
	mended := &fatal{T: t}
	w := bitsWorkload("", 3)
	w.Dump = func(b *bits) (string, error) { // and this one does not trust a value without its complement
		s, err := b.dump()
		if strings.Contains(s, "f") {
			s = ""
		}
		return s, err
	}
	if Run(mended, Config{}, w); mended.failed != "" {
		t.Error(mended.failed)
	}
	if Run(mended, Config{}, pairWorkload("")); mended.failed == "" {
		t.Error("a replay of another workload")
	}
}
