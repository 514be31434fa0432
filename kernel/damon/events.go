package damon

import (
	"fmt"

	"github.com/safevma/safevma/kernel/tracefs"
)

// Origin is what each event says: when, and of which kdamond.
type Origin struct {
	Time   int64 // nanoseconds of CLOCK_MONOTONIC
	Thread int   // the number of the kdamond's thread
}

// Region is a range of addresses with what was seen of it. Addresses are in units, see
// [Context.AddrUnit].
type Region struct {
	Start, End uint64 // half open
	Accesses   uint64 // samples of the aggregation in which it was accessed
	Age        uint64 // aggregations for which that has been so
}

// Size is in bytes, or in units.
func (r Region) Size() uint64 { return r.End - r.Start }

// The events of the kernel (include/trace/events/damon.h).
type (
	// Aggregated is one region of one target, at the end of each aggregation.
	Aggregated struct {
		Origin
		Target  uint64 // its place in the context
		Regions uint64 // how many the target has
		Region  Region
	}
	// BeforeApply is a region that a scheme is about to act upon (Linux 6.7).
	BeforeApply struct {
		Origin
		Context, Scheme, Target, Regions uint64
		Region                           Region
	}
	// EffectiveSize is the quota of a scheme as its goals have tuned it (Linux 6.17).
	EffectiveSize struct {
		Origin
		Context, Scheme uint64
		Bytes           uint64
	}
	// IntervalsTuned is a new sampling interval that the goal of the intervals chose
	// (Linux 6.17).
	IntervalsTuned struct {
		Origin
		Sample uint64 // microseconds
	}
)

// TraceEvent is [Aggregated], [BeforeApply], [EffectiveSize] or [IntervalsTuned].
type TraceEvent interface {
	// Source is when it was told, and by which kdamond.
	Source() Origin
}

// Source implements [TraceEvent].
func (o Origin) Source() Origin { return o }

// traceSystem is the directory of the events.
const traceSystem = "damon"

// traceKinds are the events by name, with the fields that make holds in that order.
var traceKinds = []struct {
	name     string
	optional bool // not all kernels have it
	fields   []string
	make     func(o Origin, v []uint64) TraceEvent
}{
	{"damon_aggregated", false, []string{"target_id", "nr_regions", "start", "end", "nr_accesses", "age"},
		func(o Origin, v []uint64) TraceEvent {
			return Aggregated{o, v[0], v[1], Region{v[2], v[3], v[4], v[5]}}
		}},
	{"damos_before_apply", true, []string{"context_idx", "scheme_idx", "target_idx", "nr_regions", "start", "end", "nr_accesses", "age"},
		func(o Origin, v []uint64) TraceEvent {
			return BeforeApply{o, v[0], v[1], v[2], v[3], Region{v[4], v[5], v[6], v[7]}}
		}},
	{"damos_esz", true, []string{"context_idx", "scheme_idx", "esz"},
		func(o Origin, v []uint64) TraceEvent { return EffectiveSize{o, v[0], v[1], v[2]} }},
	{"damon_monitor_intervals_tune", true, []string{"sample_us"},
		func(o Origin, v []uint64) TraceEvent { return IntervalsTuned{o, v[0]} }},
}

// Decoder makes typed events of records of the ring buffer.
type Decoder struct {
	// Absent are the events that this kernel does not have.
	Absent []string
	kinds  map[uint16]*traceKind
}

type traceKind struct {
	pid    tracefs.Field
	fields []tracefs.Field
	make   func(o Origin, v []uint64) TraceEvent
	values []uint64
}

// NewDecoder asks for the formats of the events. format is [tracefs.Instance.Enable], or
// [tracefs.Instance.Format] where nothing is to be recorded. A kernel without DAMON's
// events gives [tracefs.ErrAbsent], one whose events lack a field [tracefs.ErrNoField].
func NewDecoder(format func(system, event string) (*tracefs.Format, error)) (*Decoder, error) {
	d := &Decoder{kinds: map[uint16]*traceKind{}}
	for _, kind := range traceKinds {
		f, err := format(traceSystem, kind.name)
		if kind.optional && isAbsent(err) {
			d.Absent = append(d.Absent, kind.name)
			continue
		}
		if err != nil {
			return nil, err
		}
		k := &traceKind{make: kind.make, values: make([]uint64, len(kind.fields))}
		if k.pid, err = f.Field("common_pid"); err != nil {
			return nil, err
		}
		for _, name := range kind.fields {
			field, err := f.Field(name)
			if err != nil {
				return nil, err
			}
			k.fields = append(k.fields, field)
		}
		d.kinds[f.ID] = k
	}
	return d, nil
}

// Decode makes a typed event; nil of an event that is none of DAMON's.
func (d *Decoder) Decode(e tracefs.Event) (TraceEvent, error) {
	k := d.kinds[e.Type]
	if k == nil {
		return nil, nil
	}
	pid, ok := k.pid.Uint(e.Data)
	for i, field := range k.fields {
		var there bool
		k.values[i], there = field.Uint(e.Data)
		ok = ok && there
	}
	if !ok {
		return nil, fmt.Errorf("%w: an event of %d bytes is shorter than its format", ErrMalformed, len(e.Data))
	}
	return k.make(Origin{int64(e.Time), int(int64(pid))}, k.values), nil
}
