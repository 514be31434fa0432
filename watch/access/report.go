package access

import (
	"errors"
	"fmt"
	"time"

	"github.com/safevma/safevma/kernel/damon"
	"github.com/safevma/safevma/watch/recording"
)

// Schema names the JSON form of a [Report].
const Schema = "safevma.damon-access/v1"

// ErrNothing: the recording has no such thing.
var ErrNothing = errors.New("the recording has nothing of that")

// Source calls fn for each entry of a recording, from the beginning, whenever it is
// called.
type Source func(fn func(recording.Entry) error) error

// Report is the last whole snapshot of each target.
type Report struct {
	Schema  string           `json:"schema"`
	Start   *recording.Start `json:"recorded"`
	Targets []Target         `json:"targets"`
	Lost    uint64           `json:"lost_events"` // at least
}

// Target is one of them.
type Target struct {
	Thread  int                `json:"thread"`
	Target  uint64             `json:"target"`
	Context *recording.Context `json:"context"` // null where it is not known
	// Snapshots are how many the recording has, Partial how many of them lack regions.
	Snapshots uint64 `json:"snapshots"`
	Partial   uint64 `json:"partial_snapshots"`
	// At is when the snapshot shown ended, in nanoseconds of CLOCK_MONOTONIC.
	At      int64    `json:"at_ns"`
	Bytes   uint64   `json:"bytes"`
	Regions []Region `json:"regions"`
	// Recency is by how long ago memory was accessed last, Temperature in ten equal ranges;
	// both empty where the intervals are not known.
	Recency     []Bucket `json:"recency"`
	Temperature []Bucket `json:"temperature"`
}

// Region is a part of the target.
type Region struct {
	Start    uint64 `json:"start"`
	End      uint64 `json:"end"`
	Bytes    uint64 `json:"bytes"`
	Accesses uint64 `json:"nr_accesses"`
	Age      uint64 `json:"age"` // aggregations
	// Rate is in per cent of the samples, Seconds the age; null where the intervals are
	// not known.
	Rate    *float64 `json:"rate_percent"`
	Seconds *float64 `json:"age_seconds"`
}

// Temperature is for how many seconds the region has been as hot as it is; below 0 where
// it was not accessed.
func (r *Region) Temperature() float64 {
	if r.Accesses > 0 {
		return *r.Seconds
	}
	return -*r.Seconds
}

// Bucket is how much memory is within a range of seconds.
type Bucket struct {
	From  float64  `json:"from_seconds"`
	To    *float64 `json:"to_seconds"` // null where there is no end
	Bytes uint64   `json:"bytes"`
}

// ReadReport reads a recording. No target is [ErrNothing].
func ReadReport(src Source) (*Report, error) {
	r := &Report{Schema: Schema, Targets: []Target{}}
	var last lasts
	err := src(func(e recording.Entry) error {
		switch e := e.(type) {
		case *recording.Start:
			r.Start = e
		case *recording.Lost:
			r.Lost += max(e.Events, 1)
		}
		last.add(e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, l := range last.order {
		if l.whole.End != 0 {
			r.Targets = append(r.Targets, l.report())
		}
	}
	if len(r.Targets) == 0 {
		return nil, fmt.Errorf("%w: no whole snapshot", ErrNothing)
	}
	return r, nil
}

// lasts keeps the last whole snapshot of each target.
type lasts struct {
	tracker
	by    map[key]*last
	order []*last
}

type last struct {
	whole      damon.Snapshot
	context    *recording.Context
	sample     uint64
	snapshots  uint64
	partial    uint64
	identifies key
}

func (l *lasts) add(e recording.Entry) {
	l.tracker.add(e)
	s, ok := e.(*recording.Snapshot)
	if !ok {
		return
	}
	of := key{s.Thread, s.Target}
	to := l.by[of]
	if to == nil {
		if l.by == nil {
			l.by = map[key]*last{}
		}
		to = &last{identifies: of}
		l.by[of] = to
		l.order = append(l.order, to)
	}
	to.snapshots++
	if !s.Whole() {
		to.partial++
		return
	}
	regions := append(to.whole.Regions[:0], s.Regions...)
	to.whole = s.Snapshot
	to.whole.Regions = regions
	to.context, to.sample = l.contexts[s.Thread], l.samples[s.Thread]
}

// report makes what is shown of the snapshot.
func (l *last) report() Target {
	t := Target{Thread: l.identifies.thread, Target: l.identifies.target, Context: l.context, Snapshots: l.snapshots, Partial: l.partial,
		At: l.whole.End, Regions: []Region{}, Recency: []Bucket{}, Temperature: []Bucket{}}
	unit, samples, seconds := uint64(1), 0.0, 0.0
	if l.context != nil {
		unit = max(l.context.AddrUnit, 1)
		in := l.context.Intervals
		if in.Sample > 0 {
			samples, seconds = float64(in.Aggr)/float64(in.Sample), float64(in.Aggr)/1e6
			if l.sample > 0 {
				seconds = float64(l.sample) * samples / 1e6
			}
		}
	}
	for _, from := range l.whole.Regions {
		r := Region{Start: from.Start, End: from.End, Bytes: from.Size() * unit, Accesses: from.Accesses, Age: from.Age}
		if samples > 0 {
			rate, age := 100*float64(from.Accesses)/samples, float64(from.Age)*seconds
			r.Rate, r.Seconds = &rate, &age
		}
		t.Bytes += r.Bytes
		t.Regions = append(t.Regions, r)
	}
	if samples > 0 && len(t.Regions) > 0 {
		t.Recency, t.Temperature = recency(t.Regions), temperature(t.Regions)
	}
	return t
}

// recencyEnds are the ends of the ranges, in seconds; the last range has none.
var recencyEnds = []float64{1, 10, 60, 600, 3600, 86400}

// recency counts memory by how long ago it was accessed; the first bucket, from 0 to 0, is of
// memory that was within the last aggregation.
func recency(regions []Region) []Bucket {
	list := []Bucket{{To: new(float64)}}
	from := 0.0
	for _, to := range recencyEnds {
		list = append(list, Bucket{From: from, To: &to})
		from = to
	}
	list = append(list, Bucket{From: from})
	for i := range regions {
		at := 0
		if r := &regions[i]; r.Accesses == 0 {
			for at = 1; at <= len(recencyEnds) && *r.Seconds >= recencyEnds[at-1]; {
				at++
			}
		}
		list[at].Bytes += regions[i].Bytes
	}
	for len(list) > 1 && list[len(list)-1].Bytes == 0 {
		list = list[:len(list)-1]
	}
	return list
}

const temperatures = 10

// temperature counts memory in equal ranges from the coldest to the hottest.
func temperature(regions []Region) []Bucket {
	least, most := regions[0].Temperature(), regions[0].Temperature()
	for i := range regions {
		least, most = min(least, regions[i].Temperature()), max(most, regions[i].Temperature())
	}
	n := temperatures
	if least == most {
		n = 1
	}
	width := (most - least) / float64(n)
	list := make([]Bucket, n)
	for i := range list {
		to := least + width*float64(i+1)
		list[i].From, list[i].To = least+width*float64(i), &to
	}
	*list[n-1].To = most
	for i := range regions {
		at := 0
		if width > 0 {
			at = min(int((regions[i].Temperature()-least)/width), n-1)
		}
		list[at].Bytes += regions[i].Bytes
	}
	return list
}

// key is a target of a kdamond.
type key struct {
	thread int
	target uint64
}

// tracker keeps how each thread watches at the moment.
type tracker struct {
	contexts map[int]*recording.Context
	samples  map[int]uint64 // microseconds, as the kernel tuned them
}

func (t *tracker) add(e recording.Entry) {
	if t.contexts == nil {
		t.contexts, t.samples = map[int]*recording.Context{}, map[int]uint64{}
	}
	switch e := e.(type) {
	case *recording.Setup:
		for i := range e.Contexts {
			t.contexts[e.Contexts[i].Thread] = &e.Contexts[i]
		}
	case *recording.Tuned:
		t.samples[e.Thread] = e.Sample
	}
}

// since is a time of CLOCK_MONOTONIC on the clock on the wall; zero where that is not known.
func since(start *recording.Start, monotonic int64) time.Time {
	if start == nil || start.Time.IsZero() {
		return time.Time{}
	}
	return start.Time.Add(time.Duration(monotonic - start.Monotonic))
}

// Wall is when the snapshot of a target ended; zero where that is not known.
func (r *Report) Wall(t *Target) time.Time { return since(r.Start, t.At) }
