package damo

import (
	"bufio"
	"compress/flate"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/safevma/safevma/kernel/damon"
	"github.com/safevma/safevma/watch/recording"
)

// readJSON reads a list of records, each of one target.
func readJSON(in *bufio.Reader, s *sink) error {
	r := &jsonReader{in: in}
	err := r.array(func() error {
		f := &record{jsonReader: r, sink: s}
		return f.read()
	})
	if err == nil {
		if _, err := r.next(); err == nil {
			return fmt.Errorf("byte %d: %w: something stands behind the list", r.offset, ErrMalformed)
		}
		return nil
	}
	return fmt.Errorf("byte %d: %w", r.offset, err)
}

// wrapJSON says which errors are those of the compressed text.
func wrapJSON(err error) error {
	var packed flate.CorruptInputError
	if errors.As(err, &packed) || errors.Is(err, zlib.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return err
}

// record is what snapshots are of.
type record struct {
	*jsonReader
	sink                     *sink
	kdamond, context, scheme number
	target                   number
	intervals                *damon.Intervals
	thread                   int
	begun                    bool
	sample                   uint64 // of the last snapshot
	entry                    recording.Snapshot
}

// read reads one. Its snapshots must come behind what they are of, as damo writes it.
func (f *record) read() error {
	return f.object(func(key []byte) error {
		var to *number
		switch string(key) {
		case "kdamond_idx":
			to = &f.kdamond
		case "context_idx":
			to = &f.context
		case "scheme_idx":
			to = &f.scheme
		case "target_id":
			to = &f.target
		case "snapshots":
			return f.array(f.snapshot)
		case "intervals":
		default:
			return f.skip()
		}
		if f.begun {
			return f.wrong("%s stands behind the snapshots", key)
		}
		if to != nil {
			return f.number(to)
		}
		return f.readIntervals()
	})
}

func (f *record) readIntervals() error {
	if null, err := f.isNull(); err != nil || null {
		return err
	}
	f.intervals = &damon.Intervals{}
	return f.object(func(key []byte) error {
		switch string(key) {
		case "sample_us":
			return f.uint(&f.intervals.Sample)
		case "aggr_us":
			return f.uint(&f.intervals.Aggr)
		case "ops_update_us":
			return f.uint(&f.intervals.Update)
		case "intervals_goal":
			return f.readGoal()
		}
		return f.skip()
	})
}

func (f *record) readGoal() error {
	if null, err := f.isNull(); err != nil || null {
		return err
	}
	g := &damon.IntervalsGoal{}
	f.intervals.Goal = g
	to := map[string]*uint64{"access_bp": &g.AccessBP, "aggrs": &g.Aggrs, "min_sample_us": &g.MinSample, "max_sample_us": &g.MaxSample}
	return f.object(func(key []byte) error {
		if n := to[string(key)]; n != nil {
			return f.uint(n)
		}
		return f.skip()
	})
}

// uint reads a number; null is 0.
func (f *record) uint(to *uint64) error {
	var n number
	err := f.number(&n)
	*to = n.value
	return err
}

// begin says how was watched, before the first snapshot.
func (f *record) begin() error {
	f.begun = true
	// A number for what damo calls by three: the parts have few bits each.
	part := func(n number) int {
		if !n.known {
			return 0
		}
		return int(min(n.value, 1<<10-2)) + 1
	}
	f.thread = part(f.kdamond)<<20 | part(f.context)<<10 | part(f.scheme)
	if f.intervals == nil {
		return nil
	}
	c := recording.Context{Thread: f.thread, Kdamond: int(f.kdamond.value), Context: int(f.context.value), AddrUnit: 1, Intervals: *f.intervals}
	if f.scheme.known {
		scheme := int(f.scheme.value)
		c.Scheme = &scheme
	}
	return f.sink.Write(&recording.Setup{Contexts: []recording.Context{c}})
}

func (f *record) snapshot() error {
	if !f.begun {
		if err := f.begin(); err != nil {
			return err
		}
	}
	var start, end, sample number
	s := &f.entry.Snapshot
	s.Regions = s.Regions[:0]
	err := f.object(func(key []byte) error {
		switch string(key) {
		case "start_time":
			return f.number(&start)
		case "end_time":
			return f.number(&end)
		case "sample_interval_us":
			return f.number(&sample)
		case "regions":
			return f.array(f.region)
		}
		return f.skip()
	})
	if err != nil {
		return err
	}
	if start.value > math.MaxInt64 || end.value > math.MaxInt64 || !end.known {
		return f.wrong("a snapshot from %d to %d", start.value, end.value)
	}
	if sample.known && sample.value != f.sample {
		f.sample = sample.value
		e := damon.IntervalsTuned{Origin: damon.Origin{Time: int64(end.value), Thread: f.thread}, Sample: f.sample}
		if err := f.sink.Write(&recording.Tuned{IntervalsTuned: e}); err != nil {
			return err
		}
	}
	s.Thread, s.Target, s.Start, s.End, s.Expected = f.thread, f.target.value, int64(start.value), int64(end.value), uint64(len(s.Regions))
	return f.sink.snapshot(&f.entry)
}

// regionsMost bounds the memory that a snapshot takes: a little that is compressed may say
// that there are any number. damo asks the kernel for a thousand.
const regionsMost = 1 << 20

func (f *record) region() error {
	if len(f.entry.Regions) >= regionsMost {
		return f.wrong("a snapshot of more than %d regions", regionsMost)
	}
	var r damon.Region
	err := f.object(func(key []byte) error {
		switch string(key) {
		case "start":
			return f.uint(&r.Start)
		case "end":
			return f.uint(&r.End)
		case "nr_accesses":
			return f.member("samples", &r.Accesses)
		case "age":
			return f.member("aggr_intervals", &r.Age)
		}
		return f.skip()
	})
	if err == nil && r.End < r.Start {
		err = f.wrong("a region from %d to %d", r.Start, r.End)
	}
	f.entry.Regions = append(f.entry.Regions, r)
	return err
}

// member reads one number of an object.
func (f *record) member(name string, to *uint64) error {
	return f.object(func(key []byte) error {
		if string(key) == name {
			return f.uint(to)
		}
		return f.skip()
	})
}
