package region

import (
	"slices"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/sys"
)

// contender is one way to do the same.
type contender struct {
	name string
	do   func() error
}

// sideBySide runs each contender in batches, by turns, and reports the median of a batch in
// nanoseconds for each call, and its ratio to that of the first contender: what else the machine
// does meets all alike.
func sideBySide(b *testing.B, batch int, contenders ...contender) {
	b.Helper()
	took := make([][]float64, len(contenders))
	for round := 0; b.Loop(); round++ {
		for i := range contenders {
			i = (i + round) % len(contenders)
			begin := time.Now()
			for range batch {
				if err := contenders[i].do(); err != nil {
					b.Skip(err)
				}
			}
			took[i] = append(took[i], float64(time.Since(begin).Nanoseconds())/float64(batch))
		}
	}
	var bare float64
	for i, c := range contenders {
		slices.Sort(took[i])
		median, best := took[i][len(took[i])/2], took[i][0]
		if i == 0 {
			bare = median
		}
		b.ReportMetric(median, c.name+"-ns")
		b.ReportMetric(best, c.name+"-best-ns")
		if i > 0 {
			b.ReportMetric(median/bare, c.name+"-ratio")
		}
	}
	b.ReportMetric(0, "ns/op") // of the batches: it says nothing
}

// cycle maps a region, writes to it, and closes it.
func cycle(size int, options ...Option) func() error {
	return func() error {
		r, err := Map(size, options...)
		if err != nil {
			return err
		}
		r.Bytes()[0] = 1
		return r.Close()
	}
}

// A Secret region of one page, touched, next to the bare system calls for that.
func BenchmarkSecretPage(b *testing.B) {
	bare := func() error {
		page, err := sys.MapSecret(pageSize)
		if err != nil {
			return err
		}
		page[0] = 1
		return sys.Munmap(page)
	}
	sideBySide(b, 16, contender{"bare", bare}, contender{"region", cycle(pageSize, Secret())},
		contender{"guarded", cycle(pageSize, Secret(), Guarded())}, contender{"sealed", cycle(pageSize, Secret(), Sealed())})
}

// A window that is opened to write and closed, next to the bare pair of mprotect calls.
func BenchmarkWindow(b *testing.B) {
	r, err := Map(100, Windowed(), Resident())
	if err != nil {
		b.Skip(err)
	}
	defer r.Close()
	set := func(p []byte) error { p[0]++; return nil }
	bare := func() error {
		if err := sys.Mprotect(r.pages, readWrite); err != nil {
			return err
		}
		err := set(r.data)
		if err := sys.Mprotect(r.pages, sys.ProtNone); err != nil {
			return err
		}
		return err
	}
	if r.key != noKey {
		bare = func() error { r.key.open(true); err := set(r.data); r.key.close(); return err }
	}
	sideBySide(b, 256, contender{"bare", bare}, contender{"window", func() error { return r.Write(set) }})
}

// Reading an open region, next to a slice of the Go heap; and what Read costs.
func BenchmarkReadAccess(b *testing.B) {
	const size = 1 << 14
	r, err := Map(size, Resident(), Guarded())
	if err != nil {
		b.Skip(err)
	}
	defer r.Close()
	heap, sum := make([]byte, size), byte(0)
	add := func(p []byte) error {
		for _, c := range p {
			sum += c
		}
		return nil
	}
	open := r.Bytes()
	sideBySide(b, 16, contender{"slice", func() error { return add(heap) }}, contender{"bytes", func() error { return add(open) }},
		contender{"read", func() error { return r.Read(add) }})
	if sum != 0 {
		b.Fatal(sum)
	}
}

func BenchmarkMap(b *testing.B) {
	sideBySide(b, 16, contender{"plain", cycle(32)}, contender{"resident", cycle(32, Resident())},
		contender{"all", cycle(32, Resident(), Guarded(), NoDump(), NoFork(), NoMerge())},
		contender{"windowed", func() error {
			r, err := Map(32, Windowed())
			if err != nil {
				return err
			}
			return r.Close()
		}}, contender{"sealed", cycle(32, Resident(), Sealed())})
}

func BenchmarkVerify(b *testing.B) {
	r, err := Map(32, Resident(), Guarded(), NoDump(), NoFork())
	if err != nil {
		b.Skip(err)
	}
	defer r.Close()
	for b.Loop() {
		if _, err := r.Verify(); err != nil {
			b.Fatal(err)
		}
	}
}

// Windows and reads allocate nothing.
func TestAllocations(t *testing.T) {
	r, err := Map(100, Windowed(), Guarded())
	if err != nil {
		t.Skip(err)
	}
	defer r.Close()
	do := func(p []byte) error { return nil }
	for name, call := range map[string]func() error{
		"read": func() error { return r.Read(do) }, "write": func() error { return r.Write(do) }, "check": r.Check,
	} {
		if n := testing.AllocsPerRun(100, func() { _ = call() }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
