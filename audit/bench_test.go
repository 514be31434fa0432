package audit_test

import (
	"context"
	"testing"

	"github.com/safevma/safevma/audit"
	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/offender/offendertest"
)

// BenchmarkAudit audits the host with 300 more processes of 150 VMAs each, by both
// packs.
func BenchmarkAudit(b *testing.B) {
	offendertest.Start(b, "sleepers", "300", "150")
	all := packs(b)
	b.ReportAllocs()
	var last *guarantee.Report
	for b.Loop() {
		report, err := audit.Run(context.Background(), audit.Config{Rules: all, Tool: guarantee.Tool{Name: "bench", Version: "0"}})
		if err != nil {
			b.Fatal(err)
		}
		last = report
	}
	if c := last.Summary.Coverage; c != nil {
		b.ReportMetric(float64(c.Processes), "processes")
		b.ReportMetric(float64(c.VMAs), "VMAs")
		b.ReportMetric(float64(len(last.Verdicts)), "verdicts")
	}
}
