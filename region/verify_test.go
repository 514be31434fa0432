package region_test

import (
	"errors"
	"testing"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/region"
)

// holds fails the test for every verdict that does not hold, and for one that breaks the rules
// of verdicts.
func holds(t *testing.T, r *region.Region) []guarantee.Verdict {
	t.Helper()
	verdicts, err := r.Verify()
	if err != nil {
		t.Fatal(err)
	}
	for i := range verdicts {
		v := &verdicts[i]
		if err := v.Validate(); err != nil {
			t.Error(err)
		}
		if v.Status != guarantee.Holds && v.Status != guarantee.NotApplicable {
			t.Errorf("%s: %s: %s\n%q\ncontrol %s: %s", v.Rule, v.Status, v.Message, v.Observation.Raw, v.Control.Status, v.Control.Detail)
		}
	}
	return verdicts
}

func TestVerify(t *testing.T) {
	budget, err := region.NewBudget(16 << 20)
	if err != nil {
		t.Fatal(err)
	}
	table := func(b []byte) error { fill(b); return nil }
	for name, tt := range map[string]struct {
		size     int
		options  []region.Option
		verdicts int
	}{
		"plain":                   {100, nil, 0},
		"secret":                  {100, []region.Option{region.Secret()}, 9},
		"secret resident guarded": {5000, []region.Option{region.Secret(), region.Resident(), region.Guarded()}, 11},
		"secret sealed guarded":   {100, []region.Option{region.Secret(), region.Sealed(), region.Guarded()}, 12},
		"secret windowed":         {100, []region.Option{region.Secret(), region.Windowed(), region.Guarded()}, 12},
		"resident":                {100000, []region.Option{region.Resident()}, 2},
		"everything of ordinary":  {5000, []region.Option{region.Resident(), region.Guarded(), region.Sealed(), region.NoDump(), region.NoFork(), region.NoExec(), region.NoMerge()}, 9},
		"windowed resident wiped": {5000, []region.Option{region.Resident(), region.Windowed(), region.WipeOnFork(), region.Guarded()}, 6},
		"on use":                  {5000, []region.Option{region.OnUse(budget), region.NoSwap()}, 2},
		"on use, secret":          {5000, []region.Option{region.OnUse(budget), region.Secret()}, 9},
		"big":                     {4 << 20, []region.Option{region.Guarded(), region.OnUse(budget), region.NoDump(), region.NoFork()}, 5},
		"read-only":               {5000, []region.Option{region.Guarded(), region.ReadOnly(table)}, 6},
		"read-only until close":   {5000, []region.Option{region.Resident(), region.NoDump(), region.NoFork(), region.ReadOnlyUntilClose(table)}, 7},
		"read-only windowed":      {5000, []region.Option{region.Windowed(), region.ReadOnlyUntilClose(table)}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			r := mapped(t, tt.size, tt.options...)
			for range 2 { // the second time, too: Verify changes nothing
				if v := holds(t, r); len(v) != tt.verdicts {
					t.Errorf("%d verdicts, want %d", len(v), tt.verdicts)
				}
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Verify(); !errors.Is(err, region.ErrClosed) {
				t.Errorf("verify when closed: %v", err)
			}
		})
	}
}
