package probe

import "testing"

// Mappings are counted where the experiment is; others come and go.
func TestAreas(t *testing.T) {
	t.Setenv("SAFEVMA_PROBE_TEST", "1")
	if r := runAll(t, Config{Probes: []Probe{{ID: "t-areas"}}}).Probes[0]; r.Outcome != Confirmed {
		t.Errorf("%s, %+v", r.Outcome, r.Reason)
	}
}
