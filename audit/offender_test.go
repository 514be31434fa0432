package audit_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/safevma/safevma/audit"
	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/offender"
	"github.com/safevma/safevma/internal/offender/offendertest"
	"github.com/safevma/safevma/kernel/memfd"
	"github.com/safevma/safevma/rules"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == policyHelper { // started in foreign PID namespaces
		if err := memfd.ServePolicy(os.NewFile(memfd.HelperFD, memfd.NoexecPath), os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	offendertest.Main(m)
}

const policyHelper = "memfd-policy"

// packs loads both embedded packs.
func packs(t testing.TB) []*rules.Rule {
	t.Helper()
	var all []*rules.Pack
	for _, name := range rules.EmbeddedNames() {
		pack, err := rules.Embedded(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, pack)
	}
	joined, err := rules.Join(all...)
	if err != nil {
		t.Fatal(err)
	}
	return joined
}

// auditOf audits the processes of an offender, from outside, by pid.
func auditOf(t testing.TB, all []*rules.Rule, o *offendertest.Offender, declared bool) *guarantee.Report {
	t.Helper()
	config := audit.Config{Rules: all, Tool: testTool}
	for _, pid := range o.PIDs {
		s := pidSelector(t, pid)
		config.Scope = append(config.Scope, s)
		if declared {
			config.Declared = append(config.Declared, s)
		}
	}
	report, err := audit.Run(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// findings returns the verdicts of a rule that are broken, about the processes of o.
func findings(r *guarantee.Report, o *offendertest.Offender, rule string) []guarantee.Verdict {
	var found []guarantee.Verdict
	for _, v := range r.Verdicts {
		if v.Rule != rule || v.Status != guarantee.Broken {
			continue
		}
		if slices.Contains(o.PIDs, v.Subject.PID) || mentions(v.Observation.Raw, o.PIDs) {
			found = append(found, v)
		}
	}
	return found
}

// mentions reports whether a raw line of a finding that spans processes is of one of
// pids.
func mentions(raw []string, pids []int) bool {
	return slices.ContainsFunc(pids, func(pid int) bool {
		return slices.ContainsFunc(raw, func(line string) bool { return strings.HasPrefix(line, fmt.Sprintf("pid %d (", pid)) })
	})
}

// inRegion keeps the raw lines that are of the mapping in question.
func inRegion(found []guarantee.Verdict, o *offendertest.Offender) []string {
	var lines []string
	for _, v := range found {
		for _, raw := range v.Observation.Raw {
			if strings.HasPrefix(raw, o.Report.Start.String()+"-") {
				lines = append(lines, raw)
			}
		}
	}
	return lines
}

// The audit names every offender, with the raw line that proves it, and no twin.
func TestOffenders(t *testing.T) {
	all := packs(t)
	for _, spec := range offender.List() {
		if spec.Trigger != "" {
			continue // see TestManifest
		}
		t.Run(spec.Name, func(t *testing.T) {
			o := offendertest.Start(t, spec.Name)
			report := auditOf(t, all, o, spec.Declared)
			found := findings(report, o, spec.Rule)
			if len(found) == 0 && os.Geteuid() != 0 && spec.Rule == "declared-pages-shared" && undecided(report, o, spec.Rule) {
				t.Skip("page frames, and who shares an address space, are for root to see: it says unknown")
			}
			if len(found) == 0 {
				t.Fatalf("rule %s does not name it; it says:\n%s", spec.Rule, said(report, spec.Rule))
			}
			first := found[0].Observation
			shown := len(first.Raw) == first.Total // else the mapping may be among those that are only counted
			if o.Report.Start != 0 && strings.HasSuffix(first.Source, "smaps") && shown && len(inRegion(found, o)) == 0 {
				t.Errorf("the mapping %s-%s is not among the lines that prove it: %q", o.Report.Start, o.Report.End, first.Raw)
			}
			for _, v := range found {
				if v.Requirement != spec.Requirement {
					t.Errorf("requirement %s, want %s", v.Requirement, spec.Requirement)
				}
				if v.Message == "" || v.Remedy == "" || v.Control.Status == guarantee.ControlFailed || os.Geteuid() == 0 && v.Control.Status != guarantee.ControlPassed {
					t.Errorf("message %q, remedy %q, control %+v", v.Message, v.Remedy, v.Control)
				}
			}
			for _, rule := range spec.Also {
				if len(findings(report, o, rule)) == 0 {
					t.Errorf("rule %s does not name it, though it breaks that too; it says:\n%s", rule, said(report, rule))
				}
			}
		})
		for _, twin := range spec.Twins {
			t.Run(twin.Name, func(t *testing.T) {
				o := offendertest.Start(t, twin.Name)
				report := auditOf(t, all, o, spec.Declared)
				for _, rule := range append([]string{spec.Rule}, spec.Also...) {
					found := findings(report, o, rule)
					if twin.Region {
						if lines := inRegion(found, o); len(lines) > 0 {
							t.Errorf("rule %s names the mapping of the twin: %q", rule, lines)
						}
						continue
					}
					for _, v := range found {
						t.Errorf("rule %s names the twin: %s %q", rule, v.Message, v.Observation.Raw)
					}
				}
			})
		}
	}
}

// undecided reports whether a rule says unknown of all processes of o, and nothing else.
func undecided(r *guarantee.Report, o *offendertest.Offender, rule string) bool {
	unknown := 0
	for _, v := range r.Verdicts {
		if v.Rule == rule && slices.Contains(o.PIDs, v.Subject.PID) {
			if v.Status != guarantee.Unknown {
				return false
			}
			unknown++
		}
	}
	return unknown > 0
}

// said returns all verdicts of a rule, for messages.
func said(r *guarantee.Report, rule string) string {
	var b strings.Builder
	for _, v := range r.Verdicts {
		if v.Rule == rule {
			fmt.Fprintf(&b, "%s on %s %d: %s %q\n", v.Status, v.Subject.Kind, v.Subject.PID, v.Message, v.Observation.Raw)
		}
	}
	return b.String()
}
