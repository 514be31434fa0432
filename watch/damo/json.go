package damo

import (
	"compress/flate"
	"compress/zlib"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/safevma/safevma/kernel/damon"
	"github.com/safevma/safevma/watch/recording"
)

// number is how damo writes numbers: as such, or as text with commas; null is none.
type number struct {
	value uint64
	known bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *number) UnmarshalJSON(text []byte) error {
	s := string(text)
	if s == "null" {
		return nil
	}
	s = strings.ReplaceAll(strings.Trim(s, `"`), ",", "")
	n.known = true
	var err error
	if n.value, err = strconv.ParseUint(s, 10, 64); err == nil {
		return nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 || f >= math.MaxUint64 {
		return fmt.Errorf("%w: the number %s", ErrMalformed, text)
	}
	n.value = uint64(f)
	return nil
}

// The parts of damo's records that are taken.
type (
	intervals struct {
		Sample number `json:"sample_us"`
		Aggr   number `json:"aggr_us"`
		Update number `json:"ops_update_us"`
		Goal   *struct {
			AccessBP number `json:"access_bp"`
			Aggrs    number `json:"aggrs"`
			Min      number `json:"min_sample_us"`
			Max      number `json:"max_sample_us"`
		} `json:"intervals_goal"`
	}
	snapshot struct {
		Start   number   `json:"start_time"`
		End     number   `json:"end_time"`
		Sample  number   `json:"sample_interval_us"`
		Regions []region `json:"regions"`
	}
	region struct {
		Start    number `json:"start"`
		End      number `json:"end"`
		Accesses struct {
			Samples number `json:"samples"`
		} `json:"nr_accesses"`
		Age struct {
			Aggrs number `json:"aggr_intervals"`
		} `json:"age"`
	}
)

// readJSON reads a list of records, each of one target.
func readJSON(in io.Reader, s *sink) error {
	d := json.NewDecoder(in)
	err := array(d, func() error { return record(d, s) })
	if err == nil {
		if _, err = d.Token(); err == io.EOF {
			return nil
		}
		err = errors.Join(err, fmt.Errorf("%w: something stands behind the list", ErrMalformed))
	}
	return fmt.Errorf("byte %d: %w", d.InputOffset(), wrapJSON(err))
}

// wrapJSON says which errors are those of the text.
func wrapJSON(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var packed flate.CorruptInputError
	if errors.As(err, &syntax) || errors.As(err, &kind) || errors.As(err, &packed) || errors.Is(err, zlib.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return err
}

// array calls fn for each element, which has to read it.
func array(d *json.Decoder, fn func() error) error {
	if err := expect(d, '['); err != nil {
		return err
	}
	for d.More() {
		if err := fn(); err != nil {
			return err
		}
	}
	return expect(d, ']')
}

func expect(d *json.Decoder, want json.Delim) error {
	got, err := d.Token()
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%w: %v, and not %v", ErrMalformed, got, want)
	}
	return nil
}

// from is what a record is of.
type from struct {
	sink                     *sink
	kdamond, context, scheme number
	target                   number
	intervals                *intervals
	thread                   int
	begun                    bool
	sample                   uint64
	entry                    recording.Snapshot
}

// record reads one. Its snapshots must come behind what they are of, as damo writes it.
func record(d *json.Decoder, s *sink) error {
	if err := expect(d, '{'); err != nil {
		return err
	}
	f := &from{sink: s}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var other json.RawMessage
		var to any = &other
		switch key {
		case "kdamond_idx":
			to = &f.kdamond
		case "context_idx":
			to = &f.context
		case "scheme_idx":
			to = &f.scheme
		case "target_id":
			to = &f.target
		case "intervals":
			to = &f.intervals
		case "snapshots":
			if err := array(d, func() error { return f.snapshot(d) }); err != nil {
				return err
			}
			continue
		}
		if f.begun && to != any(&other) {
			return fmt.Errorf("%w: %v stands behind the snapshots", ErrMalformed, key)
		}
		if err := d.Decode(to); err != nil {
			return err
		}
	}
	return expect(d, '}')
}

// begin says how was watched, before the first snapshot.
func (f *from) begin() error {
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
	in := f.intervals
	c := recording.Context{Thread: f.thread, Kdamond: int(f.kdamond.value), Context: int(f.context.value), AddrUnit: 1,
		Intervals: damon.Intervals{Sample: in.Sample.value, Aggr: in.Aggr.value, Update: in.Update.value}}
	if f.scheme.known {
		scheme := int(f.scheme.value)
		c.Scheme = &scheme
	}
	if g := in.Goal; g != nil {
		c.Intervals.Goal = &damon.IntervalsGoal{AccessBP: g.AccessBP.value, Aggrs: g.Aggrs.value, MinSample: g.Min.value, MaxSample: g.Max.value}
	}
	return f.sink.Write(&recording.Setup{Contexts: []recording.Context{c}})
}

func (f *from) snapshot(d *json.Decoder) error {
	if !f.begun {
		if err := f.begin(); err != nil {
			return err
		}
	}
	var in snapshot
	if err := d.Decode(&in); err != nil {
		return err
	}
	if in.Start.value > math.MaxInt64 || in.End.value > math.MaxInt64 || !in.End.known {
		return fmt.Errorf("%w: a snapshot from %d to %d", ErrMalformed, in.Start.value, in.End.value)
	}
	if in.Sample.known && in.Sample.value != f.sample {
		f.sample = in.Sample.value
		e := damon.IntervalsTuned{Origin: damon.Origin{Time: int64(in.End.value), Thread: f.thread}, Sample: f.sample}
		if err := f.sink.Write(&recording.Tuned{IntervalsTuned: e}); err != nil {
			return err
		}
	}
	s := &f.entry.Snapshot
	*s = damon.Snapshot{Thread: f.thread, Target: f.target.value, Start: int64(in.Start.value), End: int64(in.End.value),
		Expected: uint64(len(in.Regions)), Regions: s.Regions[:0]}
	for _, r := range in.Regions {
		if r.End.value < r.Start.value {
			return fmt.Errorf("%w: a region from %d to %d", ErrMalformed, r.Start.value, r.End.value)
		}
		s.Regions = append(s.Regions, damon.Region{Start: r.Start.value, End: r.End.value, Accesses: r.Accesses.Samples.value, Age: r.Age.Aggrs.value})
	}
	return f.sink.snapshot(&f.entry)
}
