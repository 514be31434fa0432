package probe

import (
	"strings"
	"testing"
)

// Who may lock no memory gets to know that, whether the kernel says so when secret memory is
// mapped or when it is touched.
func TestMemlock(t *testing.T) {
	t.Setenv("SAFEVMA_PROBE_TEST", "1")
	r := runAll(t, Config{Probes: []Probe{{ID: "t-memlock", Needs: Needs{SecretPages: 1}}}}).Probes[0]
	if r.Outcome == Unknown && r.Reason.Why == Missing {
		t.Skip(r.Reason.Detail)
	}
	if r.Outcome != Unknown || r.Reason.Why != Privilege || !strings.Contains(r.Reason.Detail, "RLIMIT_MEMLOCK") {
		t.Errorf("%s, %+v", r.Outcome, r.Reason)
	}
	t.Log(r.Reason)
}
