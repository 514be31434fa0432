// Package interleave compares several ways to do the same thing, on a machine that has
// other work to do too. Of benchmarks that run one after the other, each gets as its
// result what else the machine did in its seconds. Here every round runs all ways in
// turn, and what counts is the median over the rounds of the ratio within one round.
//
// The measure is CPU time of the whole process, as getrusage(2) has it: with the kernel's
// part and the garbage collector's, without the time that others had the CPU. Wall time is
// shown beside it.
package interleave

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"
)

// Way is one way to do the thing.
type Way struct {
	Name string
	Do   func() error
}

// leastRounds gives a median that means something, also where a round takes longer than
// the time that a benchmark has.
const leastRounds = 9

// Compare runs the ways in turn for as long as b lasts. It reports the ratio of the CPU
// time of each way to that of the first one as a metric named "way/first", and logs a table
// with times and allocations for each of n units, such as VMAs.
func Compare(b *testing.B, n int, unit string, ways ...Way) {
	b.Helper()
	var rounds [][]sample
	another := func() {
		samples, err := round(ways, len(rounds))
		if err != nil {
			b.Fatal(err)
		}
		rounds = append(rounds, samples)
	}
	for b.Loop() {
		another()
	}
	for len(rounds) < leastRounds {
		another()
	}
	b.ReportMetric(0, "ns/op") // of a round: nobody asks
	for i, way := range ways[1:] {
		b.ReportMetric(median(rounds, ratio(cpu, i+1)), way.Name+"/"+ways[0].Name)
	}
	b.Log("\n" + table(rounds, float64(n), unit, ways))
}

// table shows the medians of all rounds.
func table(rounds [][]sample, n float64, unit string, ways []Way) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "median of %d rounds\tCPU ms\twall ms\tCPU ns/%s\tallocs/%s\tCPU ratio\twall ratio\t\n", len(rounds), unit, unit)
	for i, way := range ways {
		of := func(get getter) float64 { return median(rounds, func(r []sample) float64 { return get(r[i]) }) }
		fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%.0f\t%.3f\t%.3f\t%.3f\t\n", way.Name, of(cpu)/1e6, of(wall)/1e6, of(cpu)/n, of(mallocs)/n,
			median(rounds, ratio(cpu, i)), median(rounds, ratio(wall, i)))
	}
	w.Flush()
	return text.String()
}

// round runs each way once. It begins with another one each time, so that none is always
// the one that comes after the dearest.
func round(ways []Way, first int) ([]sample, error) {
	samples := make([]sample, len(ways))
	for i := range ways {
		i = (i + first) % len(ways)
		runtime.GC() // nobody collects another's garbage
		before := now()
		if err := ways[i].Do(); err != nil {
			return nil, fmt.Errorf("%s: %w", ways[i].Name, err)
		}
		samples[i] = now().since(before)
	}
	return samples, nil
}

// sample is what one run took, in nanoseconds and in allocations.
type sample struct{ cpu, wall, mallocs float64 }

// getter picks what is compared.
type getter func(sample) float64

func cpu(s sample) float64     { return s.cpu }
func wall(s sample) float64    { return s.wall }
func mallocs(s sample) float64 { return s.mallocs }

// ratio compares a way with the first one of the same round.
func ratio(get getter, way int) func(round []sample) float64 {
	return func(r []sample) float64 { return get(r[way]) / get(r[0]) }
}

// moment is a reading of all clocks.
type moment struct {
	cpu     time.Duration
	wall    time.Time
	mallocs uint64
}

func now() moment {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	user, system := CPU()
	return moment{cpu: user + system, wall: time.Now(), mallocs: m.Mallocs}
}

func (m moment) since(before moment) sample {
	return sample{cpu: float64(m.cpu - before.cpu), wall: float64(m.wall.Sub(before.wall)), mallocs: float64(m.mallocs - before.mallocs)}
}

// CPU returns the CPU time that this process has used so far, in user space and in the
// kernel. The sum is exact, how it is divided may be an estimate of the kernel's.
func CPU() (user, system time.Duration) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0 // it fails for bad arguments alone
	}
	return time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano())
}

func median(rounds [][]sample, get func(round []sample) float64) float64 {
	values := make([]float64, len(rounds))
	for i, r := range rounds {
		values[i] = get(r)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
