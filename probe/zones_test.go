package probe

import "testing"

// An address at which the kernel has nothing is none of its zones, and what a process can't do
// there says nothing.
func TestEmptyZone(t *testing.T) {
	t.Setenv("SAFEVMA_PROBE_TEST", "1")
	r := runAll(t, Config{Probes: []Probe{{ID: "t-empty-zone"}}}).Probes[0]
	if r.Outcome == Unknown && r.Reason.Why == Privilege {
		t.Skip(r.Reason.Detail)
	}
	if r.Outcome != Unknown || r.Reason.Why != Missing {
		t.Errorf("%s, %+v", r.Outcome, r.Reason)
	}
}

// Where the zones of this kernel can be found, they are the ones that are tried.
func TestZonesAreFound(t *testing.T) {
	var probes []Probe
	for _, z := range kernelZones {
		p, _ := Find("kz-user-" + z.id)
		probes = append(probes, p)
	}
	for _, r := range runAll(t, Config{Probes: probes}).Probes {
		if r.Outcome == Unknown && r.Reason.Why != Privilege {
			t.Errorf("%s: %+v", r.ID, r.Reason)
		}
		t.Logf("%s: %s, %v %v", r.ID, r.Outcome, r.Reason, r.Notes)
	}
}
