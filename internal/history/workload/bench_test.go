package workload_test

import (
	"testing"

	"github.com/safevma/safevma/internal/history"
	"github.com/safevma/safevma/internal/history/workload"
)

// large is a workload of 100,000 transactions.
func large() workload.Config {
	c := workload.New(1)
	c.Transactions, c.Keys, c.Rotate = 100_000/c.Goroutines, 20, 200
	return c
}

// histories are what the benchmarks check: of a right store and of broken ones.
var histories = []struct {
	name string
	run  func(workload.Config) (history.History, error)
}{
	{"right/registers", func(c workload.Config) (history.History, error) { return workload.Run(c, registers{&locked{}}) }},
	{"right/lists", func(c workload.Config) (history.History, error) { return workload.RunLists(c, &locked{}) }},
	{"snapshot/registers", func(c workload.Config) (history.History, error) { return workload.Run(c, registers{&snapshot{}}) }},
	{"anarchy/lists", func(c workload.Config) (history.History, error) { return workload.RunLists(c, &anarchy{}) }},
	{"halfway/registers", func(c workload.Config) (history.History, error) { return workload.Run(c, registers{&halfway{}}) }},
	{"stale/registers", func(c workload.Config) (history.History, error) { return workload.Run(c, registers{&stale{}}) }},
}

// BenchmarkCheck checks histories of 100,000 transactions.
func BenchmarkCheck(b *testing.B) {
	for _, bb := range histories {
		h, err := bb.run(large())
		if err != nil {
			b.Fatal(err)
		}
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			var r *history.Report
			for b.Loop() {
				if r, err = history.Check(h, history.Options{Attempts: bb.name[:5] == "right"}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(h)), "transactions")
			b.ReportMetric(float64(r.Operations), "operations")
			b.ReportMetric(float64(len(r.Findings)), "findings")
		})
	}
}
