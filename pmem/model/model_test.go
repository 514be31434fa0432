package model

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/safevma/safevma/pmem/crash"
	"github.com/safevma/safevma/pmem/crash/state"
)

type ops = crash.Ops[*Pool]

func pools(o Options, run func(*ops) error) crash.Workload[*Pool] {
	return crash.Workload[*Pool]{
		Size:    Size,
		Create:  func(e *crash.Env) (*Pool, error) { return Create(e, o) },
		Recover: func(e *crash.Env) (*Pool, error) { return Open(e, o) },
		Dump:    (*Pool).Dump, Check: (*Pool).Check, Run: run,
	}
}

func setting(o *ops, i int, values ...uint64) error {
	return o.Do(fmt.Sprint("set ", i, values), func(p *Pool) error { return p.Set(i, values...) })
}

// wraps goes more than once round a log of two slots.
func wraps(b Break) crash.Workload[*Pool] {
	return pools(Options{Break: b, Slots: 2, Words: 2}, func(o *ops) error {
		return errors.Join(setting(o, 0, 1, 2), setting(o, 1, 3), setting(o, 0, 4), setting(o, 0, 5, 6))
	})
}

// lives drops a batch of which the second record is whole, and appends in a second life. Its
// records are as small as they get: all outcomes are lived on.
func lives(b Break) crash.Workload[*Pool] {
	w := pools(Options{Break: b, Slots: 2, Words: 1}, func(o *ops) error {
		err := o.Relaxed("relaxed", func(p *Pool) error { return p.SetRelaxed(0) })
		return errors.Join(err, setting(o, 0, 2))
	})
	w.Resume = func(o *ops) error { return o.Do("nothing", (*Pool).Confirm) }
	return w
}

// reuse writes an object directly where a freed one was, of which a word is in the log.
func reuse(b Break) crash.Workload[*Pool] {
	return reusing(Options{Break: b, Slots: 3, Words: 1, Objects: 1})
}

// reuseSmall has records so small that all crashes in recovery are explored too.
func reuseSmall(b Break) crash.Workload[*Pool] {
	return reusing(Options{Break: b, Slots: 3, Objects: 1})
}

func reusing(options Options) crash.Workload[*Pool] {
	return pools(options, func(o *ops) error {
		return errors.Join(
			o.Do("new", func(p *Pool) error { return p.New(0, 10) }),
			o.Do("free", func(p *Pool) error { return p.Free(0) }),
			o.Do("new direct", func(p *Pool) error { return p.NewDirect(0, 20, 21) }))
	})
}

// damage ends with a record that confirms the others and says nothing else.
func damage(b Break) crash.Workload[*Pool] {
	return pools(Options{Break: b, Slots: 4, Words: 1}, func(o *ops) error {
		return errors.Join(setting(o, 0, 1), setting(o, 0, 2), o.Do("confirm", (*Pool).Confirm))
	})
}

// word is what the pool of readers should be.
type word struct{ v uint64 }

func (w *word) Clone() crash.Model { c := *w; return &c }
func (w *word) String() string     { return fmt.Sprintf("%d ", w.v) }

// readers has one goroutine that sets a word, and one that reads it.
func readers(b Break) crash.Workload[*Pool] {
	w := pools(Options{Break: b, Slots: 2, Words: 1}, func(o *ops) error {
		o.Go(func(o *ops) error {
			return o.Apply("set", func(p *Pool) (string, error) { return "", p.Set(0, 5) },
				func(m crash.Model) string { assignWord(m, 5); return "" })
		})
		o.Go(func(o *ops) error {
			return o.Apply("get", func(p *Pool) (string, error) { v, err := p.Get(0); return fmt.Sprint(v), err },
				func(m crash.Model) string { return strings.TrimSpace(m.String()) })
		})
		return nil
	})
	w.Model = &word{}
	return w
}

func assignWord(m crash.Model, v uint64) {
	if w, ok := m.(*word); ok {
		w.v = v
	}
}

var media = []state.Model{crash.Kill, crash.ADR, crash.EADR, crash.PageCache, crash.PageCache4K, crash.PageCacheTorn}

// complete: every state was checked, and how many there are is printed.
func complete(t *testing.T, r *crash.Report) {
	t.Helper()
	for _, m := range r.Models {
		t.Logf("%v: states %s of %s, images %s of %s, in recovery %s of %s, lives %d of %d", m.Model, m.StatesChecked, m.States,
			m.ImagesChecked, m.Images, m.NestedChecked, m.NestedStates, m.Lives, m.LivesFound)
		if !m.Complete() || m.States != m.StatesChecked || m.NestedStates != m.NestedChecked || m.Lives != m.LivesFound {
			t.Errorf("%v: not complete", m.Model)
		}
	}
}

func TestIntact(t *testing.T) {
	dax := media[:3]
	for name, w := range map[string]func(Break) crash.Workload[*Pool]{"wraps": wraps, "lives": lives, "reuse": reuse, "reuse small": reuseSmall, "readers": readers} {
		t.Run(name, func(t *testing.T) {
			r := crash.Run(t, crash.Config{Models: dax, Lives: 1 << 20, Recoveries: 1 << 20, Shallow: false}, w(Intact))
			if r == nil {
				return
			}
			complete(t, r)
		})
	}
}

// small is what is explored on the page cache: a log of one slot, twice round.
func small(b Break) crash.Workload[*Pool] {
	return pools(Options{Break: b, Slots: 1, Words: 2}, func(o *ops) error {
		return errors.Join(setting(o, 0, 1, 2), setting(o, 0, 3))
	})
}

// The page cache: complete, and with syncs that fail.
func TestIntactPageCache(t *testing.T) {
	for name, c := range map[string]struct {
		w     func(Break) crash.Workload[*Pool]
		media []state.Model
	}{"small": {small, media[3:]}, "wraps": {wraps, media[3:4]}, "reuse": {reuse, media[3:4]}} {
		t.Run(name, func(t *testing.T) {
			r := crash.Run(t, crash.Config{Models: c.media, Recoveries: 1 << 20, FailSyncs: 3, Restart: true}, c.w(Intact))
			if r != nil {
				complete(t, r)
			}
		})
	}
}

// A bigger bound, at night: two slots, on all media.
func TestIntactNightly(t *testing.T) {
	if os.Getenv("SAFEVMA_NIGHTLY") == "" {
		t.Skip("set SAFEVMA_NIGHTLY=1 for it: it takes minutes")
	}
	r := crash.Run(t, crash.Config{Models: media, Recoveries: 1 << 24, FailSyncs: 6, Restart: true}, wraps(Intact))
	if r != nil {
		complete(t, r)
	}
}

// After a sync that failed, and a restart, recovery reads a record that is not on the disk. What
// it showed must survive the next failure.
func TestBrokenRewrite(t *testing.T) {
	cfg := crash.Config{Name: t.Name(), Models: media[3:4], FailSyncs: 3, Restart: true, Recoveries: 1 << 20}
	if _, err := crash.Explore(context.Background(), cfg, small(Intact)); err != nil {
		t.Fatalf("the control fails: %v", err)
	}
	_, err := crash.Explore(context.Background(), cfg, small(Rewrite))
	var f *crash.Failure
	if !errors.As(err, &f) {
		t.Fatalf("not caught: %v", err)
	}
	t.Logf("%v", f)
}

func TestBrokenRules(t *testing.T) {
	for _, c := range []struct {
		name  string
		b     Break
		w     func(Break) crash.Workload[*Pool]
		model state.Model
		flips int
		shows string // the store that the rule is about
	}{
		{"R1", R1, wraps, crash.ADR, 0, ""},
		{"R2", R2, reuseSmall, crash.ADR, 0, ""},
		{"R3", R3, wraps, crash.ADR, 0, "log.go"},
		{"R4 generation", R4Generation, lives, crash.ADR, 0, "log.go"},
		{"R4 durable", R4Durable, wraps, crash.ADR, 0, "superblock.go"},
		{"R5 applied", R5Applied, wraps, crash.ADR, 0, "commit.go"},
		{"R5 tail", R5Tail, wraps, crash.ADR, 0, "commit.go"},
		{"R6", R6, readers, crash.ADR, 0, "log.go"},
		{"replay of what is in caches alone", Rewrite, small, crash.ADR, 0, "log.go"},
		{"R7", R7, damage, crash.ADR, 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := crash.Config{Name: t.Name(), Models: []state.Model{c.model}, Damage: c.flips, Lives: 1 << 20, Restart: c.b == Rewrite}
			if _, err := crash.Explore(context.Background(), cfg, c.w(Intact)); err != nil {
				t.Fatalf("the control fails: %v", err)
			}
			_, err := crash.Explore(context.Background(), cfg, c.w(c.b))
			var f *crash.Failure
			if !errors.As(err, &f) {
				t.Fatalf("not caught: %v", err)
			}
			t.Logf("%v", f)
			if !strings.Contains(f.Error(), c.shows) {
				t.Errorf("the failure does not name a store of %s", c.shows)
			}
		})
	}
}
