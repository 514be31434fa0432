package crash_test

import (
	"context"
	"fmt"
	"math/big"
	"os"
	"strconv"
	"testing"

	"github.com/safevma/safevma/internal/interleave"
	"github.com/safevma/safevma/pmem/crash"
	"github.com/safevma/safevma/pmem/crash/state"
	"github.com/safevma/safevma/pmem/crash/structures"
)

// total is how many distinct images a report has recovered and checked.
func total(t testing.TB, r *crash.Report) *big.Int {
	t.Helper()
	sum := new(big.Int)
	for _, m := range r.Models {
		n, ok := new(big.Int).SetString(m.ImagesChecked, 10)
		if !ok {
			t.Fatalf("%q images", m.ImagesChecked)
		}
		sum.Add(sum, n)
	}
	return sum
}

// scale explores one workload that has at least so many distinct images. Each checkpoint has
// some 32,000 of its own.
func scale(t *testing.T, least int64, cfg crash.Config, w func(checkpoints uint64) crash.Workload[*structures.Redo]) {
	t.Helper()
	cfg.Name, cfg.Models, cfg.Recoveries = t.Name(), []state.Model{crash.ADR}, 1<<30
	cfg.Progress = func(p crash.Progress) {
		if p.Recoveries%16 == 0 {
			t.Logf("event %d of %d: %s states, %d recoveries", p.Event, p.Events, p.States, p.Recoveries)
		}
	}
	r, err := crash.Explore(context.Background(), cfg, w(uint64(least/32_000+1)))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v", r)
	m := r.Models[0]
	if n := total(t, r); n.Cmp(big.NewInt(least)) < 0 || !m.Complete() || !m.ImagesExact || m.Images != m.ImagesChecked {
		t.Errorf("%v of %s images", n, m.Images)
	}
}

func plainRedo(checkpoints uint64) crash.Workload[*structures.Redo] {
	return structures.RedoWorkload(12, 12, checkpoints, false)
}

func lookingRedo(checkpoints uint64) crash.Workload[*structures.Redo] {
	w := plainRedo(checkpoints)
	w.Recover = looking(w.Recover)
	return w
}

// The least that CI explores: 200,000 distinct images, all that there are.
func TestScale(t *testing.T) {
	least := int64(200_000)
	if testing.Short() {
		least = 20_000
	}
	scale(t, least, crash.Config{}, plainRedo)
}

// nightly is the environment variable that asks for many images, and says how many.
const nightly = "SAFEVMA_CRASH_IMAGES"

// Ten million distinct images: once where recovery reads little, so that few recoveries
// do, with crashes in recovery; and a tenth of it where recovery reads all that is open, so that
// each image takes a recovery of its own.
func TestNightly(t *testing.T) {
	least, err := strconv.ParseInt(os.Getenv(nightly), 10, 64)
	if err != nil {
		t.Skipf("set %s to the number of images, such as 10000000", nightly)
	}
	t.Run("pruned", func(t *testing.T) { scale(t, least, crash.Config{}, plainRedo) })
	t.Run("reads-all", func(t *testing.T) { scale(t, least/10, crash.Config{Shallow: true}, lookingRedo) })
}

// looking reads all words before recovery, so that no image is like another.
func looking(open func(*crash.Env) (*structures.Redo, error)) func(*crash.Env) (*structures.Redo, error) {
	return func(e *crash.Env) (*structures.Redo, error) {
		var all [4096]byte
		if err := e.Medium.Read(4096, all[:]); err != nil {
			return nil, err
		}
		return open(e)
	}
}

// BenchmarkImages compares the images a second of the plain way (copy, recover, check) with
// those of this package, on one workload: with recovery that reads little and, where nothing can
// be saved by that, with recovery that reads all.
func BenchmarkImages(b *testing.B) {
	for _, all := range []bool{false, true} {
		b.Run(map[bool]string{false: "pruned", true: "reads-all"}[all], func(b *testing.B) {
			w := structures.RedoWorkload(9, 9, 2, false)
			if all {
				w.Recover = looking(w.Recover)
			}
			states, err := crash.Plain(crash.ADR, w)
			if err != nil {
				b.Fatal(err)
			}
			explore := func(cfg crash.Config) func() error {
				cfg.Models, cfg.Recoveries = []state.Model{crash.ADR}, 1<<30
				return func() error {
					r, err := crash.Explore(context.Background(), cfg, w)
					if err == nil && r.Models[0].States != fmt.Sprint(states) {
						err = fmt.Errorf("%s states, plain %d", r.Models[0].States, states)
					}
					return err
				}
			}
			interleave.Compare(b, states, "image",
				interleave.Way{Name: "plain", Do: func() error { _, err := crash.Plain(crash.ADR, w); return err }},
				interleave.Way{Name: "explorer", Do: explore(crash.Config{Shallow: true})},
				interleave.Way{Name: "with-nested", Do: explore(crash.Config{})},
			)
		})
	}
}
