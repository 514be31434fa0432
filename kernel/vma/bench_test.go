package vma_test

import (
	"errors"
	"io"
	"testing"

	"github.com/safevma/safevma/internal/interleave"
	"github.com/safevma/safevma/internal/offender/offendertest"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

// processes starts some with many VMAs each, and pins them.
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
func readAll(p *process.Process, name string, buf []byte) error {
	f, err := p.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		_, err := f.Read(buf)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// read is a method of [vma.Reader] that lists the VMAs of a process.
type read func(*vma.Reader, *process.Process, func(*vma.VMA) error) error

// each returns a way that does something with each of the processes.
func each(name string, all []*process.Process, do func(*process.Process) error) interleave.Way {
	return interleave.Way{Name: name, Do: func() error {
		for _, p := range all {
			if err := do(p); err != nil {
				return err
			}
		}
		return nil
	}}
}

func raw(name string, all []*process.Process, file string) interleave.Way {
	buf := make([]byte, 64<<10)
	return each(name, all, func(p *process.Process) error { return readAll(p, file, buf) })
}

func parsed(name string, all []*process.Process, list read) interleave.Way {
	var r vma.Reader
	return each(name, all, func(p *process.Process) error {
		return list(&r, p, func(*vma.VMA) error { return nil })
	})
}

func count(b *testing.B, all []*process.Process) int {
	b.Helper()
	var r vma.Reader
	n := 0
	for _, p := range all {
		if err := r.Maps(p, func(*vma.VMA) error { n++; return nil }); err != nil {
			b.Fatal(err)
		}
	}
	return n
}

// BenchmarkMaps compares parsing with reading alone: 40 processes of 150 VMAs and those
// that each program has.
func BenchmarkMaps(b *testing.B) {
	all := processes(b, "sleepers", "40", "150")
	interleave.Compare(b, count(b, all), "VMA", raw("raw", all, "maps"), parsed("parsed", all, (*vma.Reader).Maps))
}

// BenchmarkSmaps is the same for smaps.
func BenchmarkSmaps(b *testing.B) {
	all := processes(b, "sleepers", "40", "150")
	interleave.Compare(b, count(b, all), "VMA", raw("raw", all, "smaps"), parsed("parsed", all, (*vma.Reader).Smaps))
}

// BenchmarkLarge reads one process of 40,000 VMAs, of which 400 are executable, in all
// ways.
func BenchmarkLarge(b *testing.B) {
	all := processes(b, "vmas", "40000", "400")
	query := func(filter vma.Filter) read {
		return func(r *vma.Reader, p *process.Process, fn func(*vma.VMA) error) error { return r.Query(p, filter, fn) }
	}
	var r vma.Reader
	ways := []interleave.Way{
		raw("raw-maps", all, "maps"), parsed("maps", all, (*vma.Reader).Maps), parsed("smaps", all, (*vma.Reader).Smaps),
		each("rollup", all, func(p *process.Process) error { _, err := r.Rollup(p); return err }),
	}
	if err := r.Query(all[0], vma.Filter{}, func(*vma.VMA) error { return nil }); !errors.Is(err, vma.ErrUnsupported) {
		ways = append(ways, parsed("query-all", all, query(vma.Filter{})),
			parsed("query-executable", all, query(vma.Filter{Perm: vma.PermExec})))
	}
	interleave.Compare(b, count(b, all), "VMA", ways...)
}

// Benchmarks of one way each, for comparing two revisions.

func benchmark(b *testing.B, way func(all []*process.Process) interleave.Way) {
	w := way(processes(b, "sleepers", "40", "150"))
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Do(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMapsParsed(b *testing.B) {
	benchmark(b, func(all []*process.Process) interleave.Way { return parsed("parsed", all, (*vma.Reader).Maps) })
}

func BenchmarkSmapsParsed(b *testing.B) {
	benchmark(b, func(all []*process.Process) interleave.Way { return parsed("parsed", all, (*vma.Reader).Smaps) })
}
