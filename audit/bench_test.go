package audit_test

import (
	"context"
	"testing"

	"github.com/safevma/safevma/audit"
	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/interleave"
	"github.com/safevma/safevma/internal/offender/offendertest"
)

// BenchmarkAudit audits the host with 300 more processes of 150 VMAs each, by both
// packs.
func BenchmarkAudit(b *testing.B) {
	offendertest.Start(b, "sleepers", "300", "150")
	all := packs(b)
	b.ReportAllocs()
	var last *guarantee.Report
	user, system := interleave.CPU()
	for b.Loop() {
		report, err := audit.Run(context.Background(), audit.Config{Rules: all, Tool: guarantee.Tool{Name: "bench", Version: "0"}})
		if err != nil {
			b.Fatal(err)
		}
		last = report
	}
	userAfter, systemAfter := interleave.CPU()
	b.ReportMetric((userAfter-user).Seconds()*1e3/float64(b.N), "user-ms/op")
	b.ReportMetric((systemAfter-system).Seconds()*1e3/float64(b.N), "sys-ms/op")
	if c := last.Summary.Coverage; c != nil {
		b.ReportMetric(float64(c.Processes), "processes")
		b.ReportMetric(float64(c.VMAs), "VMAs")
		b.ReportMetric(float64(len(last.Verdicts)), "verdicts")
	}
}
