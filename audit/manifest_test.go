package audit_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/safevma/safevma/audit"
	"github.com/safevma/safevma/audit/manifest"
	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/offender"
	"github.com/safevma/safevma/internal/offender/offendertest"
	"github.com/safevma/safevma/kernel/process"
)

// A manifest is made of a program that is ready; what the program maps later is a
// difference, and where it maps nothing more there is none.
func TestManifest(t *testing.T) {
	i := slices.IndexFunc(offender.List(), func(s offender.Spec) bool { return s.Trigger != "" })
	spec := offender.List()[i]
	verdict := func(t *testing.T, name string) guarantee.Verdict {
		o := offendertest.Start(t, name)
		m := reread(t, baseline(t, o.PID))
		if v := compare(t, m, o.PID); v.Status != guarantee.Holds {
			t.Fatalf("before anything changed: %s %s %q", v.Status, v.Message, v.Observation.Raw)
		}
		o.Go(t)
		return compare(t, m, o.PID)
	}
	t.Run(spec.Name, func(t *testing.T) {
		v := verdict(t, spec.Name)
		if v.Status != guarantee.Broken || v.Requirement != spec.Requirement || v.Rule != audit.ManifestRule ||
			!slices.ContainsFunc(v.Observation.Raw, func(raw string) bool { return strings.HasPrefix(raw, "unexpected: ") }) {
			t.Errorf("%s %s: %s %q", v.Status, v.Requirement, v.Message, v.Observation.Raw)
		}
	})
	t.Run(spec.Twins[0].Name, func(t *testing.T) {
		if v := verdict(t, spec.Twins[0].Name); v.Status != guarantee.Holds {
			t.Errorf("%s: %s %q", v.Status, v.Message, v.Observation.Raw)
		}
	})
}

// Go maps memory when it likes: the slack is what a manifest of such a program needs.
const slack = 4

func baseline(t *testing.T, pid int) *manifest.Manifest {
	t.Helper()
	m, err := audit.Baseline(context.Background(), process.Default(), pid, 1, 0, slack)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// reread takes a manifest through its file.
func reread(t *testing.T, m *manifest.Manifest) *manifest.Manifest {
	t.Helper()
	var text bytes.Buffer
	if err := m.Write(&text, ""); err != nil {
		t.Fatal(err)
	}
	again, err := manifest.Load(&text)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func compare(t *testing.T, m *manifest.Manifest, pid int) guarantee.Verdict {
	t.Helper()
	report, err := audit.Run(context.Background(), audit.Config{Scope: []audit.Selector{pidSelector(t, pid)}, Manifest: m, Tool: testTool})
	if err != nil {
		t.Fatal(err)
	}
	of := slices.DeleteFunc(report.Verdicts, func(v guarantee.Verdict) bool { return v.Rule != audit.ManifestRule })
	if len(of) != 1 {
		t.Fatalf("%d verdicts about the manifest, want 1: %+v", len(of), of)
	}
	return of[0]
}

// A manifest of a process that is not there is not fulfilled.
func TestManifestOfNobody(t *testing.T) {
	o := offendertest.Start(t, "wx-twin")
	m := baseline(t, o.PID)
	o.Stop(t)
	if v := compare(t, m, o.PID); v.Status != guarantee.Unknown {
		t.Errorf("%s: %s", v.Status, v.Message)
	}
}
