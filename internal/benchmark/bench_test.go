package benchmark

import (
	"errors"
	"io"
	"testing"

	"github.com/prometheus/procfs"
	gopsutil "github.com/shirou/gopsutil/v4/process"

	"github.com/safevma/safevma/internal/interleave"
	"github.com/safevma/safevma/internal/offender/offendertest"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

func TestMain(m *testing.M) { offendertest.Main(m) }

// BenchmarkList asks which VMAs each process of the host has. gopsutil answers from
// smaps: it has no cheaper way.
func BenchmarkList(b *testing.B) {
	n := start(b)
	interleave.Compare(b, n, "VMA", maps(n), rawText("raw", "maps"), procfsMaps(n), gopsutilMaps(n))
}

// BenchmarkAccounts asks how the memory of each VMA of the host is accounted. procfs does
// not know that for a VMA.
func BenchmarkAccounts(b *testing.B) {
	n := start(b)
	interleave.Compare(b, n, "VMA", smaps(n), rawText("raw", "smaps"), gopsutilMaps(n))
}

// BenchmarkWays is each way by itself, for comparing two revisions.
func BenchmarkWays(b *testing.B) {
	n := start(b)
	for _, way := range []interleave.Way{maps(n), smaps(n), rawText("raw-maps", "maps"), rawText("raw-smaps", "smaps"), procfsMaps(n), gopsutilMaps(n)} {
		b.Run(way.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := way.Do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

const sleepers, mappings = 300, 150

// start starts 300 processes with 150 VMAs each, beside those that their program has, and
// returns how many VMAs the host has. Nearly all are anonymous: the shortest lines, on
// which a parser has the least time.
func start(b *testing.B) int {
	b.Helper()
	offendertest.Start(b, "sleepers", "300", "150")
	n := 0
	if err := eachProcess(func(p *process.Process) error {
		var r vma.Reader
		return r.Maps(p, func(*vma.VMA) error { n++; return nil })
	}); err != nil {
		b.Fatal(err)
	}
	if n < sleepers*mappings {
		b.Fatalf("%d VMAs, want at least %d", n, sleepers*mappings)
	}
	return n
}

var errShort = errors.New("far fewer VMAs than there are")

// all returns a way that counts VMAs, and fails if it misses more than what other
// processes of the host may have dropped since n were counted.
func all(name string, n int, scan func() (int, error)) interleave.Way {
	return interleave.Way{Name: name, Do: func() error {
		got, err := scan()
		if err == nil && got < min(n, sleepers*mappings) {
			err = errShort
		}
		return err
	}}
}

// eachProcess pins each process of the host. Those that are gone, or hidden from this
// user, are passed over; so do the other ways.
func eachProcess(do func(*process.Process) error) error {
	proc := process.Default()
	pids, err := proc.PIDs()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		p, err := proc.Open(pid)
		if err != nil {
			continue
		}
		err = do(p)
		p.Close()
		if err != nil && !errors.Is(err, process.ErrGone) && !errors.Is(err, process.ErrDenied) && !errors.Is(err, vma.ErrNoAddressSpace) {
			return err
		}
	}
	return nil
}

func maps(n int) interleave.Way {
	var r vma.Reader
	return all("maps", n, func() (n int, err error) {
		err = eachProcess(func(p *process.Process) error {
			return r.Maps(p, func(*vma.VMA) error { n++; return nil })
		})
		return n, err
	})
}

func smaps(n int) interleave.Way {
	var r vma.Reader
	return all("smaps", n, func() (n int, err error) {
		err = eachProcess(func(p *process.Process) error {
			return r.Smaps(p, func(*vma.VMA) error { n++; return nil })
		})
		return n, err
	})
}

// rawText reads a file of each process into one buffer: the floor of all that read text.
func rawText(name, file string) interleave.Way {
	buf := make([]byte, 64<<10)
	return interleave.Way{Name: name, Do: func() error {
		return eachProcess(func(p *process.Process) error {
			f, err := p.Open(file)
			if err != nil {
				return err
			}
			defer f.Close()
			for {
				if _, err := f.Read(buf); errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return p.Wrap(file, err)
				}
			}
		})
	}}
}

func procfsMaps(n int) interleave.Way {
	return all("procfs", n, func() (n int, err error) {
		processes, err := procfs.AllProcs()
		if err != nil {
			return 0, err
		}
		for _, p := range processes {
			maps, err := p.ProcMaps()
			if err != nil {
				continue
			}
			n += len(maps)
		}
		return n, nil
	})
}

func gopsutilMaps(n int) interleave.Way {
	return all("gopsutil", n, func() (n int, err error) {
		processes, err := gopsutil.Processes()
		if err != nil {
			return 0, err
		}
		for _, p := range processes {
			maps, err := p.MemoryMaps(false)
			if err != nil {
				continue
			}
			n += len(*maps)
		}
		return n, nil
	})
}
