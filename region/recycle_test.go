package region_test

import (
	"testing"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/region"
)

// What its owner took from sealed memory, which a seal does not forbid, the next one has again.
func TestRecycledHasAll(t *testing.T) {
	for name, tt := range map[string]struct {
		options []region.Option
		undo    []int
	}{
		"locked": {[]region.Option{region.Sealed(), region.Resident(), region.NoDump(), region.NoFork(), region.NoMerge(), region.Guarded()},
			[]int{sys.MadvDodump, sys.MadvDofork, sys.MadvMergeable}},
		"wiped":  {[]region.Option{region.Sealed(), region.NoSwap(), region.WipeOnFork()}, []int{sys.MadvKeeponfork}},
		"secret": {[]region.Option{region.Sealed(), region.Secret()}, []int{sys.MadvDodump, sys.MadvDofork}},
	} {
		t.Run(name, func(t *testing.T) {
			const size = 3 * 4096
			first := mapped(t, size, tt.options...)
			b := first.Bytes()
			at := address(b)
			for _, advice := range tt.undo {
				// No KSM: nothing to undo.
				if err := sys.Madvise(b[:4096], advice); err != nil && advice != sys.MadvMergeable {
					t.Fatal(err)
				}
			}
			_ = sys.Munlock(b[4096:8192])
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			second := mapped(t, size, tt.options...)
			if address(second.Bytes()) != at {
				t.Fatal("it was not recycled")
			}
			verdicts, err := second.Verify()
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range verdicts {
				if v.Status == guarantee.Broken {
					t.Errorf("%s: %s %v", v.Rule, v.Message, v.Observation.Raw)
				}
			}
		})
	}
}
