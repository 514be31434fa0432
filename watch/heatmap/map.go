package heatmap

import (
	"fmt"
	"math"
	"time"

	"github.com/safevma/safevma/kernel/damon"
	"github.com/safevma/safevma/watch/recording"
)

// Options say what is drawn. The zero value of a range is all of the target, the hottest
// range of it.
type Options struct {
	Times, Addresses int // how many cells
	Target           *Key
	Range            *Range
	// Once counts each moment once. Otherwise, as damo does, the age of a region counts in
	// a cell also for the time that the snapshots before have told of: where cells are
	// longer than snapshots, what stays as hot as it is looks hotter than it can be.
	Once bool
	// Last is how long before its end the recording is drawn from; 0 is from when on
	// something is known.
	Last time.Duration
}

// cellsMost bounds the memory that a picture takes.
const cellsMost = 1 << 24

// Unit is of accesses.
type Unit string

// The units.
const (
	Hertz   Unit = "Hz"
	Samples Unit = "samples"
)

// Map is a picture: Times columns of Addresses cells.
type Map struct {
	Stream *Stream
	Times  int
	// Addresses is how many cells there are of each time.
	Addresses int
	Unit      Unit
	Range     Range // of addresses that are drawn
	once      bool
	addrUnit  int64
	start     number
	timeUnit  number
	cells     []float64 // NaN where unknown; by time, then by address
	begins    []int64   // of the times
	last      *number   // end of the snapshot before
}

// Draw reads a recording and draws one target.
func Draw(src Source, o Options) (*Map, error) {
	streams, err := Survey(src)
	if err != nil {
		return nil, err
	}
	m := &Map{Stream: streams[0], Times: o.Times, Addresses: o.Addresses, Unit: Samples, once: o.Once}
	if o.Target != nil {
		if m.Stream = find(streams, *o.Target); m.Stream == nil {
			return nil, fmt.Errorf("%w: target %d of thread %d is not in it; there are %s", ErrNothing, o.Target.Target, o.Target.Thread, keys(streams))
		}
	}
	if err := m.prepare(o); err != nil {
		return nil, err
	}
	return m, m.fill(src)
}

func find(streams []*Stream, key Key) *Stream {
	for _, s := range streams {
		if s.Key == key {
			return s
		}
	}
	return nil
}

func keys(streams []*Stream) (text string) {
	for i, s := range streams {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%d:%d", s.Thread, s.Target)
	}
	return text
}

// prepare lays out the grid.
func (m *Map) prepare(o Options) error {
	if o.Times < 1 || o.Addresses < 1 {
		return fmt.Errorf("%w: %d times %d cells", ErrShort, o.Times, o.Addresses)
	}
	if o.Times > cellsMost/o.Addresses {
		return fmt.Errorf("%w: %d times %d, and at most %d", ErrLarge, o.Times, o.Addresses, cellsMost)
	}
	m.start, m.Range = m.Stream.from, m.Stream.Hottest()
	end := whole(m.Stream.Last)
	if o.Last > 0 {
		m.start = end.minus(whole(int64(o.Last)))
	}
	if o.Range != nil {
		m.Range = *o.Range
	}
	if m.Range.End < m.Range.Start || m.Range.End > math.MaxInt64 {
		return fmt.Errorf("%w: addresses %#x-%#x", ErrShort, m.Range.Start, m.Range.End)
	}
	m.timeUnit = end.minus(m.start).floorOver(o.Times)
	m.addrUnit = int64(m.Range.End-m.Range.Start) / int64(o.Addresses)
	if m.timeUnit.float() < 1 {
		return fmt.Errorf("%w: %.0f ns for %d cells", ErrShort, end.minus(m.start).float(), o.Times)
	}
	if m.addrUnit < 1 {
		return fmt.Errorf("%w: %d bytes for %d cells", ErrShort, m.Range.End-m.Range.Start, o.Addresses)
	}
	m.cells = make([]float64, o.Times*o.Addresses)
	for i := range m.cells {
		m.cells[i] = math.NaN()
	}
	m.begins = make([]int64, o.Times)
	for i := range m.begins {
		m.begins[i] = m.start.plus(m.timeUnit.times(i)).truncated()
	}
	return nil
}

// Cell returns the value of a cell; NaN where nothing is known.
func (m *Map) Cell(time, address int) float64 { return m.cells[time*m.Addresses+address] }

// Time is when a column begins, in nanoseconds of CLOCK_MONOTONIC.
func (m *Map) Time(i int) int64 { return m.begins[i] }

// Span is how long a column is, in nanoseconds.
func (m *Map) Span() float64 { return m.timeUnit.float() }

// Address is where a row begins.
func (m *Map) Address(j int) uint64 { return m.Range.Start + uint64(m.addrUnit)*uint64(j) }

// Size is how large a row is.
func (m *Map) Size() uint64 { return uint64(m.addrUnit) }

func (m *Map) fill(src Source) error {
	in := intervals{}
	rate := rates{}
	first := true
	return src(func(e recording.Entry) error {
		switch e := e.(type) {
		case *recording.Setup:
			in.setup(e)
		case *recording.Tuned:
			if e.Thread == m.Stream.Thread {
				rate.sample = e.Sample
			}
		case *recording.Snapshot:
			if e.Thread != m.Stream.Thread || e.Target != m.Stream.Target {
				return nil
			}
			start := whole(e.Start)
			if first && !m.Stream.began {
				start = m.Stream.start
			}
			first = false
			if rate.context = in[e.Thread]; rate.context == nil {
				rate.context = m.Stream.Context
			}
			m.add(&e.Snapshot, start, rate)
			end := whole(e.End)
			m.last = &end
		}
		return nil
	})
}

// shape is what all regions of a snapshot have in common.
type shape struct {
	start, end number
	aggr       int64   // nanoseconds by which a unit of age goes back; 0 where not known
	seconds    float64 // of the aggregation; 0 where not known
}

func (m *Map) add(e *damon.Snapshot, start number, rate rates) {
	s := shape{start: start, end: whole(e.End)}
	if rate.known() {
		m.Unit = Hertz
		s.aggr = int64(rate.context.Intervals.Aggr) * 1000
		s.seconds = rate.seconds(e, start)
	}
	high := m.Range.Start + uint64(m.addrUnit)*uint64(m.Addresses)
	for _, r := range e.Regions {
		if r.End < m.Range.Start || high < r.Start {
			continue
		}
		m.region(r, &s)
	}
}

// region adds to all cells that a region covers. Its age says since when it has been so,
// but before the snapshot before that one knew better.
func (m *Map) region(r damon.Region, s *shape) {
	observed := s.start.minus(whole(int64(r.Age) * s.aggr))
	if s.aggr == 0 {
		observed = s.start
	}
	from := observed
	if m.last != nil && from.less(*m.last) {
		from = *m.last
	}
	if m.once {
		observed = from
	}
	firstTime, lastTime := from.minus(m.start).over(m.timeUnit), s.end.minus(m.start).over(m.timeUnit)
	first := int64(quotient(int64(r.Start)-int64(m.Range.Start), m.addrUnit))
	last := int64(quotient(int64(r.End)-int64(m.Range.Start), m.addrUnit))
	for i := max(firstTime, 0); i <= min(lastTime, int64(m.Times-1)); i++ {
		begin := whole(m.begins[i])
		time := earlier(s.end, begin.plus(m.timeUnit)).minus(later(observed, begin))
		for j := max(first, 0); j <= min(last, int64(m.Addresses-1)); j++ {
			at := int64(m.Range.Start) + m.addrUnit*j
			size := min(int64(r.End), at+m.addrUnit) - max(int64(r.Start), at)
			m.heat(int(i)*m.Addresses+int(j), r.Accesses, time, size, s.seconds)
		}
	}
}

// heat adds the accesses of a region for a part of a cell.
func (m *Map) heat(cell int, accesses uint64, time number, size int64, seconds float64) {
	var heat float64
	switch {
	case seconds != 0:
		heat = float64(accesses) / seconds * time.float() * float64(size)
	case time.whole:
		heat = product(accesses, time.i, size)
	default:
		heat = float64(accesses) * time.f * float64(size)
	}
	area := m.timeUnit.float() * float64(m.addrUnit)
	if m.timeUnit.whole {
		area = product(1, m.timeUnit.i, m.addrUnit)
	}
	if old := m.cells[cell]; !math.IsNaN(old) {
		heat += float64(old * area) // rounded, on processors that could do both in one step, too
	}
	m.cells[cell] = heat / area
}
