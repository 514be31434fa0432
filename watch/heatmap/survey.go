package heatmap

import (
	"errors"
	"fmt"
	"slices"

	"github.com/safevma/safevma/kernel/damon"
	"github.com/safevma/safevma/watch/recording"
)

// Errors that a caller acts on.
var (
	// ErrNothing: there is no snapshot to draw, or none of that target.
	ErrNothing = errors.New("nothing to draw")
	// ErrShort: what is to be drawn is shorter or smaller than the cells are many.
	ErrShort = errors.New("too short")
	// ErrLarge: there are more cells than a picture may have.
	ErrLarge = errors.New("too many cells")
)

// Source calls fn for each entry of a recording, from the beginning, whenever it is
// called. Snapshots are valid until fn returns.
type Source func(fn func(recording.Entry) error) error

// Key is a target of a kdamond.
type Key struct {
	Thread int
	Target uint64
}

// Range is half open.
type Range struct{ Start, End uint64 }

// Stream is what a recording has of one target.
type Stream struct {
	Key
	Context *recording.Context // nil where it is not known
	// Snapshots are how many there are, Partial how many of them lack regions.
	Snapshots, Partial int
	First, Last        int64 // ends of the first and the last snapshot
	// Ranges have no gap in any snapshot.
	Ranges []Range

	start   number // of the first snapshot
	from    number // when its oldest region was as it is
	began   bool   // the first snapshot says when it started
	oldest  uint64 // age of it
	low     uint64
	high    uint64
	gaps    []Range
	hottest int // of Ranges
	aggr    uint64
}

// Start and End are the time that is known of, in nanoseconds of CLOCK_MONOTONIC.
func (s *Stream) Start() int64 { return s.from.truncated() }

// End is the end of the last snapshot.
func (s *Stream) End() int64 { return s.Last }

// Hottest is the range with most accesses a byte.
func (s *Stream) Hottest() Range { return s.Ranges[s.hottest] }

func (s *Stream) space() (sum uint64) {
	for _, r := range s.Ranges {
		sum += r.End - r.Start
	}
	return sum
}

// intervals keeps how each thread watches at the moment.
type intervals map[int]*recording.Context

func (in intervals) setup(e *recording.Setup) {
	for i := range e.Contexts {
		in[e.Contexts[i].Thread] = &e.Contexts[i]
	}
}

// aggregation is the interval of a thread in nanoseconds; 0 where it is not known.
func (in intervals) aggregation(thread int) int64 {
	if c := in[thread]; c != nil {
		return int64(c.Intervals.Aggr) * 1000
	}
	return 0
}

// Survey reads a recording and returns its targets, those with most memory first.
func Survey(src Source) ([]*Stream, error) {
	streams := map[Key]*Stream{}
	var order []*Stream
	in := intervals{}
	err := src(func(e recording.Entry) error {
		switch e := e.(type) {
		case *recording.Setup:
			in.setup(e)
		case *recording.Snapshot:
			key := Key{e.Thread, e.Target}
			s := streams[key]
			if s == nil {
				s = &Stream{Key: key, Context: in[e.Thread], aggr: uint64(in.aggregation(e.Thread))}
				streams[key] = s
				order = append(order, s)
			}
			s.add(&e.Snapshot)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	order = slices.DeleteFunc(order, func(s *Stream) bool { return s.high == 0 })
	if len(order) == 0 {
		return nil, fmt.Errorf("%w: there is no snapshot with a region", ErrNothing)
	}
	several := false
	for _, s := range order {
		if s.Context == nil { // it was looked at only later
			s.Context, s.aggr = in[s.Thread], uint64(in.aggregation(s.Thread))
		}
		s.finish()
		several = several || len(s.Ranges) > 1
	}
	if several {
		if err := heats(src, streams); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(order, func(a, b *Stream) int {
		if a.space() > b.space() {
			return -1
		}
		return pick(a.space() < b.space(), 1, 0)
	})
	return order, nil
}

// add takes the next snapshot.
func (s *Stream) add(e *damon.Snapshot) {
	if s.Snapshots == 0 {
		s.First, s.start, s.began = e.End, whole(e.Start), e.Start != 0
		for _, r := range e.Regions {
			s.oldest = max(s.oldest, r.Age)
		}
	}
	s.Snapshots++
	if !e.Whole() {
		s.Partial++
	}
	s.Last = e.End
	var gaps []Range
	for i, r := range e.Regions {
		if s.high == 0 || r.Start < s.low {
			s.low = r.Start
		}
		s.high = max(s.high, r.End)
		if i > 0 && e.Regions[i-1].End != r.Start {
			gaps = append(gaps, Range{e.Regions[i-1].End, r.Start})
		}
	}
	if e.Whole() {
		s.narrow(gaps)
	}
}

// narrow leaves of the gaps what is a gap in this snapshot, too; one that this snapshot
// has nothing like is left as it was.
func (s *Stream) narrow(gaps []Range) {
	if len(s.gaps) == 0 {
		s.gaps = gaps
		return
	}
	for i := range s.gaps {
		for _, g := range gaps {
			if s.gaps[i].End >= g.Start && g.End >= s.gaps[i].Start {
				s.gaps[i] = Range{max(s.gaps[i].Start, g.Start), min(s.gaps[i].End, g.End)}
			}
		}
	}
}

// finish says when the first snapshot started, and which ranges there are.
func (s *Stream) finish() {
	if !s.began {
		s.start = s.guessStart()
	}
	s.from = s.start.minus(whole(int64(s.oldest * s.aggr)))
	start := s.low
	for _, g := range s.gaps {
		s.Ranges = append(s.Ranges, Range{start, g.Start})
		start = g.End
	}
	s.Ranges = append(s.Ranges, Range{start, s.high})
}

// guessStart: the first snapshot took as long as the others on average; where there are
// none, an aggregation.
func (s *Stream) guessStart() number {
	if s.Snapshots < 2 {
		return whole(s.First - int64(s.aggr))
	}
	return fraction(float64(s.First) - float64(s.Last-s.First)/float64(s.Snapshots-1))
}

// heats finds the hottest range of each target.
func heats(src Source, streams map[Key]*Stream) error {
	sums := map[Key][]float64{}
	err := src(func(e recording.Entry) error {
		snapshot, ok := e.(*recording.Snapshot)
		if !ok {
			return nil
		}
		s := streams[Key{snapshot.Thread, snapshot.Target}]
		if s == nil || len(s.Ranges) < 2 {
			return nil
		}
		if sums[s.Key] == nil {
			sums[s.Key] = make([]float64, len(s.Ranges))
		}
		for _, r := range snapshot.Regions {
			for i, to := range s.Ranges {
				if r.End >= to.Start && to.End >= r.Start {
					sums[s.Key][i] += float64(r.Size()) * float64(r.Accesses)
				}
			}
		}
		return nil
	})
	for key, list := range sums {
		s := streams[key]
		perByte := func(i int) float64 {
			if size := s.Ranges[i].End - s.Ranges[i].Start; list[i] > 0 && size > 0 {
				return list[i] / float64(size)
			}
			return 0
		}
		for i := range list {
			if perByte(i) > perByte(s.hottest) {
				s.hottest = i
			}
		}
	}
	return err
}
