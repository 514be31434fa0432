package workload

import (
	"os"
	"slices"
	"testing"

	"github.com/safevma/safevma/pmem/crash"
)

// shallow are those whose crashes in recovery take more than some seconds: they are for the night.
var shallow = []string{"set", "alloc", "reclass", "direct", "run", "concurrent"}

// A failure at any point of the workloads leaves a pool that is whole: what was acknowledged is
// there, what was not is there or absent, and nothing has leaked.
func TestAll(t *testing.T) {
	for _, w := range All() {
		t.Run(w.Name, func(t *testing.T) {
			w.Config.Restart = true
			w.Config.Shallow = slices.Contains(shallow, w.Name) && os.Getenv("SAFEVMA_NIGHTLY") == "" || testing.Short()
			crash.Run(t, w.Config, w.Crash)
		})
	}
}

// Each sync fails once: what it covered is durable or lost for ever, and the pool takes no more.
// What was acknowledged before is there after it was opened again.
func TestFailedSyncs(t *testing.T) {
	for _, w := range All() {
		t.Run(w.Name, func(t *testing.T) {
			w.Config.Models, w.Config.Shallow, w.Config.FailSyncs = disk[1:2], true, 40
			crash.Run(t, w.Config, w.Crash)
		})
	}
}

// Each two syncs fail, also where the second one is one of opening the pool again after the first.
func TestFailedPairs(t *testing.T) {
	w := reopened()
	w.Config.Models, w.Config.Shallow, w.Config.FailSyncs, w.Config.FailPairs = disk[1:2], true, 60, true
	r := crash.Run(t, w.Config, w.Crash)
	if n := r.Models[0].PairsFailed; n < 100 {
		t.Errorf("%d pairs of syncs failed", n)
	}
}

// Ten million images and more, at night.
func TestNightly(t *testing.T) {
	if os.Getenv("SAFEVMA_NIGHTLY") == "" {
		t.Skip("set SAFEVMA_NIGHTLY=1 for it: it takes minutes")
	}
	w := wide()
	crash.Run(t, w.Config, w.Crash)
}
