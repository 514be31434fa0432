package damon

import (
	"errors"

	"github.com/safevma/safevma/kernel/tracefs"
)

func isAbsent(err error) bool { return errors.Is(err, tracefs.ErrAbsent) }

// Snapshot is what was seen of one target in one aggregation.
type Snapshot struct {
	Thread int
	Target uint64
	// Start is when the snapshot of the target before this one ended; 0 where there is
	// none. End is the time of the first region, which the kernel tells at the end of the
	// aggregation. Both in nanoseconds of CLOCK_MONOTONIC.
	Start, End int64
	// Expected is how many regions the kernel says there are.
	Expected uint64
	Regions  []Region // in the order of addresses

	told int64 // the time of the last region
}

// Whole reports whether no region is missing.
func (s *Snapshot) Whole() bool { return uint64(len(s.Regions)) == s.Expected }

// regionsMost is more than any kdamond has: its memory would not do.
const regionsMost = 1 << 22

// Assembler makes snapshots of regions. The zero value is ready.
type Assembler struct {
	// Apart says whether a region that comes so many nanoseconds after the last of a snapshot is of a
	// later one, though it looks like one of this: where the rest of this and the begin of the other were
	// lost. A CPU tells what it lost with its next event, and the thread may be on another one by then.
	// Less than half a millisecond is not asked about; nil: regions that look like one snapshot are.
	Apart func(s *Snapshot, between int64) bool

	open map[stream]*Snapshot
	ends map[stream]int64 // of the last snapshot
	last stream           // of the region before, and what is open of it
	at   *Snapshot
}

// stream is a target. Targets of all kdamonds are counted from 0 on, so that it takes the
// thread to tell them apart.
type stream struct {
	thread int
	target uint64
}

// Add takes the next region and calls fn with each snapshot that ends by it, which is
// valid until fn returns. lost says that events were lost before this one: then what is
// open is ended, and is not whole.
func (a *Assembler) Add(e Aggregated, lost bool, fn func(*Snapshot) error) error {
	if a.open == nil {
		a.open, a.ends = map[stream]*Snapshot{}, map[stream]int64{}
	}
	if lost {
		if err := a.Flush(fn); err != nil {
			return err
		}
	}
	to := stream{e.Thread, e.Target}
	s := a.at
	if s == nil || to != a.last {
		s = a.open[to]
	}
	if s != nil && len(s.Regions) > 0 &&
		(s.Expected != e.Regions || e.Region.Start < s.Regions[len(s.Regions)-1].End || a.apart(s, e.Time)) {
		if err := a.end(to, s, fn); err != nil { // the rest of it was lost
			return err
		}
	}
	if s == nil {
		s = &Snapshot{Thread: e.Thread, Target: e.Target}
		a.open[to] = s
	}
	a.last, a.at = to, s
	if len(s.Regions) == 0 {
		s.Start, s.End, s.Expected = a.ends[to], e.Time, e.Regions
	}
	s.Regions, s.told = append(s.Regions, e.Region), e.Time
	if uint64(len(s.Regions)) >= min(s.Expected, regionsMost) {
		return a.end(to, s, fn)
	}
	return nil
}

// apart tells whether a region of that time is of a later snapshot. A kdamond tells all of one without
// a pause, but for those that the scheduler makes.
func (a *Assembler) apart(s *Snapshot, time int64) bool {
	between := time - s.told
	return a.Apart != nil && between >= 500_000 && a.Apart(s, between)
}

// end passes a snapshot on, and makes place for the next.
func (a *Assembler) end(of stream, s *Snapshot, fn func(*Snapshot) error) error {
	a.ends[of] = s.End
	err := fn(s)
	s.Regions = s.Regions[:0]
	return err
}

// Flush ends what is open: nothing more comes of it.
func (a *Assembler) Flush(fn func(*Snapshot) error) error {
	for of, s := range a.open {
		if len(s.Regions) > 0 {
			if err := a.end(of, s, fn); err != nil {
				return err
			}
		}
	}
	return nil
}
