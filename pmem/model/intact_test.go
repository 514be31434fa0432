package model

import (
	"os"
	"slices"
	"testing"

	"github.com/safevma/safevma/pmem/crash"
	"github.com/safevma/safevma/pmem/crash/state"
)

var media = []state.Model{crash.Kill, crash.KillFile, crash.ADR, crash.EADR, crash.PageCache, crash.PageCache4K, crash.PageCacheTorn}

// everything is complete exploration: crashes in recovery, second lives, failed syncs, restarts.
// Under -short some lives are enough.
func everything(m state.Model) crash.Config {
	cfg := crash.Config{Models: []state.Model{m}, Recoveries: 1 << 24, Lives: 1 << 13, FailSyncs: 1000, Restart: true}
	if testing.Short() {
		cfg.Lives = 100
	}
	return cfg
}

// complete: every state was checked, and how many there are is printed.
func complete(t *testing.T, r *crash.Report) {
	t.Helper()
	for _, m := range r.Models {
		const all = "%v: states %s of %s, images %s of %s, in recovery %s of %s, lives %d of %d, %d syncs failed, %.1f s"
		t.Logf(all, m.Model, m.StatesChecked, m.States, m.ImagesChecked, m.Images, m.NestedChecked, m.NestedStates,
			m.Lives, m.LivesFound, m.SyncsFailed, r.Seconds)
		whole := m.PointsSampled == 0 && m.States == m.StatesChecked && m.NestedStates == m.NestedChecked
		if !whole || m.Lives != m.LivesFound && !testing.Short() {
			t.Errorf("%v: not complete", m.Model)
		}
	}
}

func TestIntact(t *testing.T) {
	for name, w := range map[string]func(Break) workload{
		"small": small, "wraps": wraps, "tails": tails, "reopened": reopened, "lives": livesNear, "damage": damage,
		"readers": readers, "restarts": restarts, "insists": insists,
		"chains": chains, "chains far": chainsFar, "chains wrap": chainsWrap, "reuse": reuse, "reuse small": reuseSmall, "stale": stale,
		"erases": erases, "erases beside": erasesBeside, "grows": grows, "grows again": growsAgain, "long": long,
	} {
		for _, m := range media {
			t.Run(name+"/"+m.String(), func(t *testing.T) { testIntact(t, everything(m), w(Intact)) })
		}
	}
	if !testing.Short() {
		t.Run("lives far", func(t *testing.T) { testIntact(t, everything(crash.PageCache), livesFar(Intact)) })
	}
}

func testIntact(t *testing.T, cfg crash.Config, w workload) {
	if m := cfg.Models[0]; testing.Short() && !slices.Contains(tabled, m) {
		t.Skipf("%v: not under -short", m)
	} else if m.Torn {
		w.Resume = nil // of so many images not each is lived on
	}
	if r := crash.Run(t, cfg, w); r != nil {
		complete(t, r)
	}
}

// Bigger bounds, at night.
func TestIntactNightly(t *testing.T) {
	nightly(t)
	for _, m := range media {
		cfg := everything(m)
		if m.Torn {
			cfg.FailSyncs = 0 // a quarter of an hour and more otherwise
		}
		t.Run(m.String(), func(t *testing.T) { testIntact(t, cfg, longer(Intact)) })
	}
}

func nightly(t *testing.T) {
	t.Helper()
	if os.Getenv("SAFEVMA_NIGHTLY") == "" {
		t.Skip("set SAFEVMA_NIGHTLY=1 for it: it takes minutes")
	}
}
