package probe

import (
	"context"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if Asked() {
		os.Exit(Serve(os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

func runAll(t *testing.T, c Config) *Report {
	t.Helper()
	r, err := Run(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestShow(t *testing.T) {
	r := runAll(t, Config{})
	for _, p := range r.Probes {
		reason := ""
		if p.Reason != nil {
			reason = string(p.Reason.Why) + ": " + p.Reason.Detail
		}
		t.Logf("%-22s %-9s %.2fs %s", p.ID, p.Outcome, p.Seconds(), reason)
		for _, n := range p.Notes {
			t.Logf("    %s: %s", n.Name, n.Value)
		}
	}
	t.Logf("%+v %+v %v", r.Summary, r.Footprint, r.Window.To.Sub(r.Window.From))
}
