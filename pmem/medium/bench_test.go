package medium_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/pmem/medium"
)

const benchSize = 64 << 20

// emulated returns memory that is treated as persistent memory is, all of it present.
func emulated(b testing.TB) *medium.Medium {
	b.Helper()
	if medium.RaceEnabled {
		b.Skip("built with -race")
	}
	m, err := medium.NewVolatile(benchSize, benchSize)
	ok(b, err)
	b.Cleanup(func() { m.Close() })
	ok(b, m.Store(0, make([]byte, benchSize), 0))
	m.AsDAX()
	return m
}

func next(x uint64) uint64 { return x*6364136223846793005 + 1442695040888963407 }

// primitive is what both programs do; C knows it by its name.
type primitive struct {
	name  string
	count int // of operations in a pass
	loop  func(m *medium.Medium, count int)
}

var primitives = []primitive{
	{"store_persist", 200_000, func(m *medium.Medium, count int) {
		x := uint64(1)
		for range count {
			x = next(x)
			m.StorePersist8(int64(x>>20%(benchSize/64)*64), x, medium.Direct)
		}
	}},
	{"append_64", 300_000, appends(64)},
	{"append_256", 300_000, appends(256)},
	{"append_4096", 100_000, appends(4096)},
	{"persist_1", 200_000, persists(1)},
	{"persist_4", 100_000, persists(4)},
	{"persist_64", 20_000, persists(64)},
}

func appends(n int) func(m *medium.Medium, count int) {
	return func(m *medium.Medium, count int) {
		data, off := make([]byte, n), int64(0)
		for range count {
			m.Write(off, data, medium.Log)
			off = (off + int64(n)) % benchSize
		}
	}
}

func persists(lines int) func(m *medium.Medium, count int) {
	return func(m *medium.Medium, count int) {
		x, d := uint64(1), m.Bare()
		for range count {
			x = next(x)
			off := int64(x >> 20 % (benchSize/64 - uint64(lines)) * 64)
			d.StoreLines(off, lines, x)
			m.Persist(off, int64(lines)*64)
		}
	}
}

// BenchmarkBesideC runs each primitive in Go and in C, one after the other, fifteen times, and
// reports the medians of the CPU time that an operation took, and their ratio.
func BenchmarkBesideC(b *testing.B) {
	if runtime.GOARCH != "amd64" {
		b.Skip("the C program is for amd64")
	}
	binary := filepath.Join(b.TempDir(), "primitives")
	if out, err := exec.Command("gcc", "-O2", "-mclwb", "-o", binary, "testdata/primitives.c").CombinedOutput(); err != nil {
		b.Skipf("no C program to compare with: %v\n%s", err, out)
	}
	m := emulated(b)
	if !strings.Contains(m.Info().Flush, "clwb") {
		b.Skip("the C program uses CLWB, this CPU has none")
	}
	for _, p := range primitives {
		b.Run(p.name, func(b *testing.B) {
			runtime.LockOSThread() // whose CPU time is measured
			defer runtime.UnlockOSThread()
			var inGo, inC []float64
			for b.Loop() {
				for range 15 {
					start := threadTime(b)
					p.loop(m, p.count)
					inGo = append(inGo, float64((threadTime(b)-start).Nanoseconds())/float64(p.count))
					inC = append(inC, runC(b, binary, p))
				}
			}
			g, c := median(inGo), median(inC)
			b.ReportMetric(g, "go-ns")
			b.ReportMetric(c, "c-ns")
			b.ReportMetric(g/c, "go/c")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// threadTime is the CPU time of the calling thread.
func threadTime(b *testing.B) time.Duration {
	const rusageThread = 1 // RUSAGE_THREAD, getrusage(2)
	var u syscall.Rusage
	ok(b, syscall.Getrusage(rusageThread, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func runC(b *testing.B, binary string, p primitive) float64 {
	out, err := exec.Command(binary, p.name, strconv.Itoa(p.count)).Output()
	ok(b, err)
	ns, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	ok(b, err)
	return ns
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// store is what a medium would be if it were an interface.
type store interface {
	Store8(off int64, v uint64, class medium.Class) error
	Write(off int64, data []byte, class medium.Class) error
	Persist(off, n int64) error
}

// BenchmarkCall holds the calls of the medium against the bare instruction routines, and
// against calls through an interface. Without a fence, so that the call shows.
func BenchmarkCall(b *testing.B) {
	m := emulated(b)
	var i store = m
	data := make([]byte, 64)
	d := m.Bare()
	for name, fn := range map[string]func(off int64){
		"Store8/medium":    func(off int64) { m.Store8(off, 1, medium.Apply) },
		"Store8/direct":    func(off int64) { d.Store8(off, 1) },
		"Store8/interface": func(off int64) { i.Store8(off, 1, medium.Apply) },
		"Store64/medium":   func(off int64) { m.Store(off, data, medium.Apply) },
		"Store64/direct":   func(off int64) { d.Copy(off, data) },
		"Store64/Go copy":  func(off int64) { d.GoCopy(off, data) },
		"Write64/medium":   func(off int64) { m.Write(off, data, medium.Log) },
		"Write64/direct":   func(off int64) { d.StreamFence(off, data) },
		"Persist/medium":   func(off int64) { m.Persist(off, 8) },
		"Persist/direct":   func(off int64) { d.FlushFence(off, 8) },
	} {
		b.Run(name, func(b *testing.B) {
			off := int64(0)
			for b.Loop() {
				fn(off)
				off = (off + 64) % 4096
			}
		})
	}
}

// BenchmarkRead shows what it costs that a fault becomes an error.
func BenchmarkRead(b *testing.B) {
	m := emulated(b)
	p := make([]byte, 64)
	view, err := m.View(0, benchSize)
	ok(b, err)
	b.Run("Read64", func(b *testing.B) {
		for b.Loop() {
			m.Read(128, p)
		}
	})
	b.Run("Load8", func(b *testing.B) {
		for b.Loop() {
			m.Load8(128)
		}
	})
	b.Run("View64", func(b *testing.B) {
		for b.Loop() {
			v, _ := m.View(128, 64)
			copy(p, v)
		}
	})
	b.Run("bare copy", func(b *testing.B) {
		for b.Loop() {
			copy(p, view[128:])
		}
	})
}

// BenchmarkCopy shows the routine that keeps the order of words beside Go's copy, which does
// not.
func BenchmarkCopy(b *testing.B) {
	m := emulated(b)
	d := m.Bare()
	for _, n := range []int{8, 64, 256, 1024, 4096} {
		data := make([]byte, n)
		b.Run(fmt.Sprintf("ordered/%d", n), func(b *testing.B) {
			for b.Loop() {
				d.Copy(8, data)
			}
		})
		b.Run(fmt.Sprintf("Go/%d", n), func(b *testing.B) {
			for b.Loop() {
				d.GoCopy(8, data)
			}
		})
	}
}

// BenchmarkPageCache is the cost of durability on an ordinary file, beside pages that others
// made dirty.
func BenchmarkPageCache(b *testing.B) {
	for _, pages := range []int{0, 16, 64} {
		for name, call := range map[string]func(m *medium.Medium) error{
			"Write":   func(m *medium.Medium) error { return m.Write(1<<20, make([]byte, 128), medium.Log) },
			"Persist": func(m *medium.Medium) error { return errStore(m, m.Persist(1<<20, 128)) },
			"PersistAll": func(m *medium.Medium) error {
				return errStore(m, m.PersistAll([]medium.Extent{{Off: 1 << 20, Len: 128}}))
			},
		} {
			b.Run(fmt.Sprintf("%s/%d dirty", name, pages), func(b *testing.B) {
				m, _ := grounds[2].create(b, 8<<20, 8<<20)
				ok(b, m.Store(0, make([]byte, 8<<20), 0), m.SyncFile())
				for b.Loop() {
					b.StopTimer()
					for i := range pages {
						ok(b, m.Store8(int64(2<<20+i*7*4096), 1, 0))
					}
					ok(b, m.Store8(1<<20, 1, 0))
					b.StartTimer()
					ok(b, call(m))
				}
			})
		}
	}
}

func errStore(_ *medium.Medium, err error) error { return err }

// BenchmarkRecorded is what a recorded call costs: an explorer makes very many.
func BenchmarkRecorded(b *testing.B) {
	memory, r := make([]byte, 4096), new(deaf)
	b.Run("Record", func(b *testing.B) {
		for b.Loop() {
			m, _ := medium.Record(memory, medium.Emulation{Kind: medium.DAX}, r)
			m.Close()
		}
	})
	m, err := medium.Record(memory, medium.Emulation{Kind: medium.DAX}, r)
	ok(b, err)
	data := make([]byte, 64)
	b.Run("Store8", func(b *testing.B) {
		for b.Loop() {
			m.Store8(64, 1, 0)
		}
	})
	b.Run("Write64", func(b *testing.B) {
		for b.Loop() {
			m.Write(64, data, 0)
		}
	})
	b.Run("Read64", func(b *testing.B) {
		for b.Loop() {
			m.Read(64, data)
		}
	})
}

// deaf is a recorder that hears nothing.
type deaf struct{}

func (*deaf) Event(medium.Event) error { return nil }
func (*deaf) Read(int64, int64) error  { return nil }
