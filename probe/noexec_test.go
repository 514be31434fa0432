package probe

import "testing"

// What other runs have made the kernel say before decides nothing: it writes ten such lines in
// five seconds, and leaves out the others.
func TestLogLimit(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the kernel's limit of lines; make test has it")
	}
	p, _ := Find("nx-log")
	probes := make([]Probe, 13)
	for i := range probes {
		probes[i] = p
	}
	for i, r := range runAll(t, Config{Probes: probes}).Probes {
		if r.Outcome == Unknown && (r.Reason.Why == Missing || r.Reason.Why == Privilege) {
			t.Skip(r.Reason.Detail)
		}
		if r.Outcome != Confirmed {
			t.Errorf("run %d: %s, %+v", i+1, r.Outcome, r.Reason)
		}
	}
}
