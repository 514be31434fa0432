package region_test

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/region"
)

const faultPages = 256

// storeAll writes a byte to each page, and returns how many faults this thread had of it.
func storeAll(t testing.TB, b []byte) int64 {
	t.Helper()
	before, err := sys.MinorFaults()
	if err != nil {
		t.Skip(err)
	}
	for at := 0; at < len(b); at += 4096 {
		b[at]++
	}
	after, err := sys.MinorFaults()
	if err != nil {
		t.Skip(err)
	}
	return after - before
}

// The first access to resident memory waits for no page, where ordinary memory faults for each.
func TestResidentFaults(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ordinary := mapped(t, faultPages*4096, region.NoDump())
	if n := storeAll(t, ordinary.Bytes()); n < faultPages/2 { // a huge page is one fault
		t.Skipf("ordinary memory had %d faults: nothing can be told by them", n)
	}
	for name, options := range map[string][]region.Option{
		"resident":         {region.Resident()},
		"resident guarded": {region.Resident(), region.Guarded(), region.NoFork()},
		"sealed":           {region.Resident(), region.Sealed()},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second one of sealed is recycled
				r := mapped(t, faultPages*4096, options...)
				if n := storeAll(t, r.Bytes()); n != 0 {
					t.Errorf("%d faults", n)
				}
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// How long the first access to a page takes: the median and the slowest hundredth, in nanoseconds.
func BenchmarkFirstTouch(b *testing.B) {
	for name, options := range map[string][]region.Option{"ordinary": nil, "resident": {region.Resident()}} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				r := mapped(b, faultPages*4096, options...)
				p := r.Bytes()
				for at := 0; at < len(p); at += 4096 {
					begin := time.Now()
					p[at]++
					took = append(took, time.Since(begin))
				}
				if err := r.Close(); err != nil {
					b.Fatal(err)
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2]), "median-ns")
			b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
			b.ReportMetric(float64(took[len(took)-1]), "max-ns")
		})
	}
}
