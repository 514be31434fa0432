package pmem

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/safevma/safevma/pmem/medium"
)

// objects that the benchmarks change, at random.
const objects = 1 << 10

type line64 [8]uint64

// benchPool makes a pool in memory whose stores are flushed and fenced.
func benchPool(b *testing.B, size int64) *Pool {
	dir, err := os.MkdirTemp("/dev/shm", "safevma-bench-")
	if err != nil {
		b.Skip(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	p, err := Create(filepath.Join(dir, "pool"), size, Options{Medium: medium.Options{AssumeDAX: true}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { p.Close() })
	return p
}

func BenchmarkSet(b *testing.B) {
	for _, n := range []int{1, 4, 16} {
		b.Run(strconv.Itoa(n)+"x64", func(b *testing.B) {
			p := benchPool(b, 64<<20)
			var refs []Ref[line64]
			for range objects {
				if err := p.Update(ctx, func(tx *Tx) error {
					r, err := Alloc(tx, line64{})
					refs = append(refs, r)
					return err
				}); err != nil {
					b.Fatal(err)
				}
			}
			i := uint32(0)
			for b.Loop() {
				if err := p.Update(ctx, func(tx *Tx) error {
					for range n {
						i = i*1664525 + 1013904223
						if err := Set(tx, refs[i>>16%objects], line64{uint64(i)}); err != nil {
							return err
						}
					}
					return nil
				}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAllocFree(b *testing.B) {
	p := benchPool(b, 64<<20)
	for b.Loop() {
		var r Ref[line64]
		if err := p.Update(ctx, func(tx *Tx) (err error) { r, err = Alloc(tx, line64{}); return err }); err != nil {
			b.Fatal(err)
		}
		if err := p.Update(ctx, func(tx *Tx) (err error) { return Free(tx, r) }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	p := benchPool(b, 64<<20)
	var r Ref[line64]
	if err := p.Update(ctx, func(tx *Tx) (err error) { r, err = Alloc(tx, line64{}); return err }); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := p.View(ctx, func(tx *Tx) (err error) { _, err = Get(tx, r); return err }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen opens sparse pools whose log is full, as a process leaves them that is killed. The
// folder is of the file system that is measured: /dev/shm, and SAFEVMA_BENCH_DIR or the one for
// temporary files.
func BenchmarkOpen(b *testing.B) {
	elsewhere := os.Getenv("SAFEVMA_BENCH_DIR")
	if elsewhere == "" {
		elsewhere = os.TempDir()
	}
	for _, where := range []string{"/dev/shm", elsewhere} {
		for _, gib := range []int64{1, 16} {
			b.Run(where+"/"+strconv.FormatInt(gib, 10)+"GiB", func(b *testing.B) { benchmarkOpen(b, where, gib<<30) })
		}
	}
}

func benchmarkOpen(b *testing.B, where string, size int64) {
	dir, err := os.MkdirTemp(where, "safevma-bench-")
	if err != nil {
		b.Skip(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	name := filepath.Join(dir, "pool")
	o := Options{Sparse: true, Medium: medium.Options{AssumeDAX: true}}
	p, err := Create(name, size, o)
	if err != nil {
		b.Fatal(err)
	}
	var refs []Ref[line64]
	for b.Loop() {
		b.StopTimer()
		for p.log-(p.head.at-p.tail.at) > 1<<12 || len(refs) < objects { // up to what a checkpoint would empty
			if err := p.Update(ctx, func(tx *Tx) error {
				if len(refs) < objects {
					r, err := Alloc(tx, line64{})
					refs = append(refs, r)
					return err
				}
				return Set(tx, refs[int(p.head.sequence*7919)%objects], line64{1})
			}); err != nil {
				b.Fatal(err)
			}
		}
		if err := p.m.Close(); err != nil { // nothing is flushed, nothing is told
			b.Fatal(err)
		}
		b.StartTimer()
		if p, err = Open(name, o); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(p.Info().Recovery.Records), "records")
	}
	p.Close()
}
