package pmem

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/safevma/safevma/pmem/medium"
)

// seededRace makes TestSeededRace be what the race detector has to report.
const seededRace = "SAFEVMA_SEEDED_RACE"

// The control of -race: a store to a pool in memory that holds no stripe is reported, where somebody
// reads the same object. (That the transactions of all other tests are not is the experiment.)
func TestSeededRace(t *testing.T) {
	if !raceEnabled {
		t.Skip("needs -race")
	}
	if os.Getenv(seededRace) != "" {
		race(t)
		return
	}
	for _, seed := range []string{"stray", "none"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSeededRace$")
		cmd.Env = append(os.Environ(), seededRace+"="+seed, "GORACE=halt_on_error=0")
		out, err := cmd.CombinedOutput()
		reported := err != nil && strings.Contains(string(out), "WARNING: DATA RACE") && strings.Contains(string(out), "pmem.race.")
		if reported != (seed == "stray") || !reported && err != nil {
			t.Errorf("seeded %s: %v\n%s", seed, err, out)
		}
	}
}

// race reads an object while somebody else writes it: with a transaction, or past it.
func race(t *testing.T) {
	m, err := medium.NewVolatile(1<<20, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	p, err := CreateOn(m, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var r Ref[account]
	update(t, p, func(tx *Tx) (err error) { r, err = Alloc(tx, account{}); return err })
	write := func() error {
		return p.Update(ctx, func(tx *Tx) error { return Set(tx, r, account{}) })
	}
	if os.Getenv(seededRace) == "stray" {
		write = func() error { return m.Store(r.Offset()+freeHeader, make([]byte, 8), medium.Apply) }
	}
	var all sync.WaitGroup
	all.Go(func() {
		for range 100 {
			if err := write(); err != nil {
				t.Error(err)
			}
		}
	})
	all.Go(func() {
		for range 100 {
			if err := p.View(ctx, func(tx *Tx) error { _, err := Get(tx, r); return err }); err != nil && !errors.Is(err, ErrDamage) {
				t.Error(err)
			}
		}
	})
	all.Wait()
}
