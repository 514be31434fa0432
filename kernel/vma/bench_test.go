package vma_test

import (
	"testing"

	"github.com/safevma/safevma/internal/offender/offendertest"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

// processes starts some with many VMAs each, and pins them. Reads are compared in one
// run, on the same processes.
func processes(b *testing.B, fixture string, args ...string) []*process.Process {
	b.Helper()
	o := offendertest.Start(b, fixture, args...)
	var all []*process.Process
	for _, pid := range o.PIDs {
		p, err := process.Default().Open(pid)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { p.Close() })
		all = append(all, p)
	}
	return all
}

// readAll reads a file into a buffer that is used again: the floor of any parser.
func readAll(b *testing.B, p *process.Process, name string, buf []byte) {
	f, err := p.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for {
		if n, err := f.Read(buf); n == 0 || err != nil {
			return
		}
	}
}

func perVMA(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/VMA")
	b.ReportMetric(float64(n), "VMAs")
}

func benchmarkText(b *testing.B, all []*process.Process, file string, read func(*vma.Reader, *process.Process, func(*vma.VMA) error) error) {
	var r vma.Reader
	n := 0
	for _, p := range all {
		if err := read(&r, p, func(*vma.VMA) error { n++; return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("raw", func(b *testing.B) {
		buf := make([]byte, 64<<10)
		b.ReportAllocs()
		for b.Loop() {
			for _, p := range all {
				readAll(b, p, file, buf)
			}
		}
		perVMA(b, n)
	})
	b.Run("parsed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, p := range all {
				if err := read(&r, p, func(*vma.VMA) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		}
		perVMA(b, n)
	})
}

// BenchmarkMaps compares parsing with reading alone: 40 processes of 150 VMAs.
func BenchmarkMaps(b *testing.B) {
	benchmarkText(b, processes(b, "sleepers", "40", "150"), "maps", (*vma.Reader).Maps)
}

// BenchmarkSmaps is the same for smaps.
func BenchmarkSmaps(b *testing.B) {
	benchmarkText(b, processes(b, "sleepers", "40", "150"), "smaps", (*vma.Reader).Smaps)
}

// BenchmarkLarge reads one process of 40,000 VMAs in all ways.
func BenchmarkLarge(b *testing.B) {
	all := processes(b, "vmas", "40000", "400")
	benchmarkText(b, all, "maps", (*vma.Reader).Maps)
	var r vma.Reader
	for name, f := range map[string]vma.Filter{"query executable": {Perm: vma.PermExec}, "query all": {}} {
		b.Run(name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				n = 0
				if err := r.Query(all[0], f, func(*vma.VMA) error { n++; return nil }); err != nil {
					b.Skip(err)
				}
			}
			perVMA(b, n)
		})
	}
	b.Run("smaps", func(b *testing.B) {
		for b.Loop() {
			if err := r.Smaps(all[0], func(*vma.VMA) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("rollup", func(b *testing.B) {
		for b.Loop() {
			if _, err := r.Rollup(all[0]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
