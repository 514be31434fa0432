package heatmap

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/safevma/safevma/kernel/damon"
	"github.com/safevma/safevma/watch/recording"
)

// source gives entries again and again.
func source(entries ...recording.Entry) Source {
	return func(fn func(recording.Entry) error) error {
		for _, e := range entries {
			if err := fn(e); err != nil {
				return err
			}
		}
		return nil
	}
}

func shot(thread int, start, end int64, regions ...damon.Region) *recording.Snapshot {
	return &recording.Snapshot{Snapshot: damon.Snapshot{Thread: thread, Start: start, End: end, Expected: uint64(len(regions)), Regions: regions}}
}

func watched(sample, aggr uint64) *recording.Setup {
	return &recording.Setup{Contexts: []recording.Context{{Thread: 1, AddrUnit: 1, Intervals: damon.Intervals{Sample: sample, Aggr: aggr}}}}
}

func drawn(t *testing.T, o Options, entries ...recording.Entry) *Map {
	t.Helper()
	m, err := Draw(source(entries...), o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func expect(t *testing.T, m *Map, want ...[]float64) {
	t.Helper()
	for i, column := range want {
		for j, w := range column {
			if got := m.Cell(i, j); got != w && !(math.IsNaN(got) && math.IsNaN(w)) {
				t.Errorf("time %d, address %d: %v, want %v", i, j, got, w)
			}
		}
	}
}

var none = math.NaN()

// Without intervals: samples, and each snapshot counts for its own time.
func TestSamples(t *testing.T) {
	m := drawn(t, Options{Times: 2, Addresses: 2},
		shot(1, 1000, 2000, damon.Region{Start: 0x1000, End: 0x2000, Accesses: 4}, damon.Region{Start: 0x2000, End: 0x3000, Accesses: 1}),
		shot(1, 2000, 3000, damon.Region{Start: 0x1000, End: 0x1800, Accesses: 8}, damon.Region{Start: 0x1800, End: 0x3000}))
	expect(t, m, []float64{4, 1}, []float64{4, 0})
	if m.Unit != Samples || m.Time(1) != 2000 || m.Span() != 1000 || m.Address(1) != 0x2000 || m.Size() != 0x1000 {
		t.Errorf("%+v", m)
	}
}

// With intervals: accesses a second, and an age says since when.
func TestHertz(t *testing.T) {
	const ms = 1e6
	m := drawn(t, Options{Times: 4, Addresses: 1}, watched(5000, 100000),
		shot(1, 900*ms, 1000*ms, damon.Region{Start: 0x1000, End: 0x2000, Accesses: 10, Age: 3}))
	// From 600 ms on: 10 in each 100 ms.
	expect(t, m, []float64{100}, []float64{100}, []float64{100}, []float64{100})
	if m.Unit != Hertz || m.Time(0) != 600*ms || m.Span() != 100*ms {
		t.Errorf("%v %v %v", m.Unit, m.Time(0), m.Span())
	}
	// What the snapshot before said of that time stays.
	m = drawn(t, Options{Times: 2, Addresses: 1}, watched(5000, 100000),
		shot(1, 800*ms, 900*ms, damon.Region{Start: 0x1000, End: 0x2000, Accesses: 2}),
		shot(1, 900*ms, 1000*ms, damon.Region{Start: 0x1000, End: 0x2000, Accesses: 10, Age: 7}))
	expect(t, m, []float64{20}, []float64{100})
}

// An age counts again in a cell of several snapshots, as with damo, or once.
func TestOnce(t *testing.T) {
	const ms = 1e6
	entries := []recording.Entry{watched(5000, 100000),
		shot(1, 800*ms, 900*ms, damon.Region{Start: 0x1000, End: 0x2000, Accesses: 2}),
		shot(1, 900*ms, 1000*ms, damon.Region{Start: 0x1000, End: 0x2000, Accesses: 2, Age: 1})}
	expect(t, drawn(t, Options{Times: 1, Addresses: 1}, entries...), []float64{30})
	expect(t, drawn(t, Options{Times: 1, Addresses: 1, Once: true}, entries...), []float64{20})
}

// Intervals that the kernel tuned count as it told, or as long as the snapshot took.
func TestTuned(t *testing.T) {
	const ms = 1e6
	goal := watched(5000, 100000)
	goal.Contexts[0].Intervals.Goal = &damon.IntervalsGoal{Aggrs: 3}
	region := damon.Region{Start: 0x1000, End: 0x2000, Accesses: 10}
	o := Options{Times: 1, Addresses: 1}
	expect(t, drawn(t, o, goal, shot(1, 1000*ms, 1105*ms, region)), []float64{100}) // near enough
	expect(t, drawn(t, o, goal, shot(1, 1000*ms, 1200*ms, region)), []float64{50})
	expect(t, drawn(t, o, goal, &recording.Tuned{IntervalsTuned: damon.IntervalsTuned{Origin: damon.Origin{Thread: 1}, Sample: 20000}}, shot(1, 1000*ms, 1200*ms, region)), []float64{25})
	expect(t, drawn(t, o, watched(5000, 100000), shot(1, 1000*ms, 1200*ms, region)), []float64{100})
}

// What no snapshot tells of is not known, and not cold.
func TestUnknown(t *testing.T) {
	region := damon.Region{Start: 0x1000, End: 0x2000}
	before, after := shot(1, 1000, 2000, region), shot(1, 4000, 4999, region)
	o := Options{Times: 4, Addresses: 1}
	expect(t, drawn(t, o, before, after), []float64{0}, []float64{0}, []float64{none}, []float64{0})
	after.Start = 2000
	expect(t, drawn(t, o, before, after), []float64{0}, []float64{0}, []float64{0}, []float64{0})
}

// The first snapshot of text says no start: it took as long as the others on average.
func TestFirstStart(t *testing.T) {
	region := damon.Region{Start: 0x1000, End: 0x2000}
	for _, c := range []struct {
		entries []recording.Entry
		want    int64
	}{
		{[]recording.Entry{shot(1, 0, 5000, region), shot(1, 5000, 6000, region), shot(1, 6000, 9000, region)}, 3000},
		{[]recording.Entry{watched(1, 2), shot(1, 0, 5000, region)}, 3000},
		{[]recording.Entry{shot(1, 4000, 5000, region), shot(1, 5000, 9000, region)}, 4000},
	} {
		streams, err := Survey(source(c.entries...))
		if err != nil || streams[0].Start() != c.want {
			t.Errorf("%v, want %d; %v", streams, c.want, err)
		}
	}
}

// The target with most memory comes first, and of it the range that is hottest is drawn; a
// gap is one in all snapshots.
func TestSurvey(t *testing.T) {
	entries := []recording.Entry{
		shot(2, 1, 10, damon.Region{Start: 0x1000, End: 0x2000, Accesses: 9}),
		shot(1, 1, 10, damon.Region{Start: 0x1000, End: 0x2000, Accesses: 1}, damon.Region{Start: 0x8000, End: 0x9000, Accesses: 5}),
		shot(1, 10, 20, damon.Region{Start: 0x1000, End: 0x3000}, damon.Region{Start: 0x8000, End: 0x9000, Accesses: 5}),
	}
	streams, err := Survey(source(entries...))
	if err != nil || len(streams) != 2 || streams[0].Thread != 1 || streams[1].Thread != 2 {
		t.Fatalf("%+v, %v", streams, err)
	}
	s := streams[0]
	if len(s.Ranges) != 2 || s.Ranges[0] != (Range{0x1000, 0x3000}) || s.Hottest() != (Range{0x8000, 0x9000}) || s.Snapshots != 2 || s.End() != 20 {
		t.Errorf("%+v", s)
	}
	m := drawn(t, Options{Times: 1, Addresses: 1, Target: &Key{2, 0}}, entries...)
	if m.Range != (Range{0x1000, 0x2000}) {
		t.Errorf("%+v", m.Range)
	}
	m = drawn(t, Options{Times: 1, Addresses: 1, Target: &Key{1, 0}, Range: &Range{0x1000, 0x2000}}, entries...)
	expect(t, m, []float64{9. / 19}) // nothing of the other target
	m = drawn(t, Options{Times: 1, Addresses: 1, Range: &Range{0x1000, 0x2000}, Last: 10}, entries...)
	if m.Range != (Range{0x1000, 0x2000}) || m.Time(0) != 10 {
		t.Errorf("%+v", m)
	}
}

// What lies before the part that is drawn does not count in it.
func TestLast(t *testing.T) {
	hot := damon.Region{Start: 0x1000, End: 0x2000, Accesses: 9}
	m := drawn(t, Options{Times: 2, Addresses: 1, Last: 2000}, shot(1, 1000, 2000, hot), shot(1, 2000, 3000, hot),
		shot(1, 3000, 4000, damon.Region{Start: 0x1000, End: 0x2000, Accesses: 1}), shot(1, 4000, 5000, damon.Region{Start: 0x1000, End: 0x2000, Accesses: 2}))
	expect(t, m, []float64{1}, []float64{2})
}

// A range is of all snapshots, not of the last alone.
func TestRangeOfAll(t *testing.T) {
	streams, err := Survey(source(shot(1, 1, 10, damon.Region{Start: 0x1000, End: 0x4000}), shot(1, 10, 20, damon.Region{Start: 0x2000, End: 0x3000})))
	if err != nil || streams[0].Hottest() != (Range{0x1000, 0x4000}) {
		t.Errorf("%+v, %v", streams, err)
	}
}

func TestErrors(t *testing.T) {
	one := shot(1, 1000, 2000, damon.Region{Start: 0x1000, End: 0x2000})
	for name, c := range map[string]struct {
		o       Options
		entries []recording.Entry
		want    error
	}{
		"nothing":       {Options{Times: 1, Addresses: 1}, nil, ErrNothing},
		"no region":     {Options{Times: 1, Addresses: 1}, []recording.Entry{shot(1, 1, 2)}, ErrNothing},
		"other target":  {Options{Times: 1, Addresses: 1, Target: &Key{2, 0}}, []recording.Entry{one}, ErrNothing},
		"too short":     {Options{Times: 1001, Addresses: 1}, []recording.Entry{one}, ErrShort},
		"too small":     {Options{Times: 1, Addresses: 4097}, []recording.Entry{one}, ErrShort},
		"too many":      {Options{Times: 1 << 20, Addresses: 1 << 20}, []recording.Entry{one}, ErrLarge},
		"none":          {Options{}, []recording.Entry{one}, ErrShort},
		"above 2^63":    {Options{Times: 1, Addresses: 1, Range: &Range{0, 1 << 63}}, []recording.Entry{one}, ErrShort},
		"the wrong way": {Options{Times: 1, Addresses: 1, Range: &Range{5, 4}}, []recording.Entry{one}, ErrShort},
	} {
		if m, err := Draw(source(c.entries...), c.o); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
	failed := errors.New("failed")
	if _, err := Draw(func(func(recording.Entry) error) error { return failed }, Options{Times: 1, Addresses: 1}); !errors.Is(err, failed) {
		t.Error(err)
	}
}

// The sum over all cells is that over all regions, whatever the grid.
func TestNothingLost(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const low, high = 1 << 20, 1 << 30
	var entries []recording.Entry
	want, now := 0.0, int64(1e9)
	for range 20 {
		var regions []damon.Region
		for at := uint64(low); at < high; {
			end := min(at+1+r.Uint64N(high/50), high)
			regions = append(regions, damon.Region{Start: at, End: end, Accesses: r.Uint64N(20)})
			at = end
		}
		took := 1e6 * (50 + r.Int64N(100))
		for _, one := range regions {
			want += float64(one.Accesses) * float64(one.Size()) * float64(took)
		}
		entries = append(entries, shot(1, now, now+took, regions...))
		now += took
	}
	for _, o := range []Options{{Times: 1, Addresses: 1}, {Times: 4, Addresses: 64}, {Times: 16, Addresses: 3}} {
		m := drawn(t, o, entries...)
		sum := 0.0
		for i := range m.Times {
			for j := range m.Addresses {
				if c := m.Cell(i, j); !math.IsNaN(c) {
					sum += c * m.Span() * float64(m.Size())
				}
			}
		}
		if off := math.Abs(sum/want - 1); off > 1e-3 { // of the last cells something is cut off
			t.Errorf("%+v: %g of %g", o, sum, want)
		}
	}
}

func TestScale(t *testing.T) {
	s := Scale{50}
	for value, want := range map[float64]int{-1: 0, 0: 0, 4.9: 0, 5: 1, 25: 5, 49: 9, 50: 9, 70: 9} {
		if got := s.Level(value); got != want {
			t.Errorf("%v: %d, want %d", value, got, want)
		}
	}
	if s.Level(none) != -1 || (Scale{0}).Level(3) != 0 || s.From(5) != 25 {
		t.Error("levels")
	}
}

// picture is one with all that there is.
func picture(t *testing.T) *Map {
	t.Helper()
	setup := watched(5000, 100000)
	setup.Contexts[0].Operations = "<paddr>"
	return drawn(t, Options{Times: 30, Addresses: 20}, setup,
		shot(1, 900e6, 1000e6, damon.Region{Start: 0x100000, End: 0x200000, Accesses: 10, Age: 3}, damon.Region{Start: 0x200000, End: 0x300000}),
		shot(1, 1300e6, 1400e6, damon.Region{Start: 0x100000, End: 0x180000, Accesses: 20}, damon.Region{Start: 0x180000, End: 0x300000, Accesses: 5}))
}

// The SVG is well-formed, escapes what others named, and has a rectangle of each shade.
func TestSVG(t *testing.T) {
	m := picture(t)
	var b bytes.Buffer
	if err := m.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"&lt;paddr&gt;", "time in seconds", ">address<", "accesses in Hz", ">0x100000<", ">0.8<", hexColour(colours[9]), hexColour(colours[5]), hexColour(colours[0]), hexColour(unknownColour)} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
}

// The PNG has the shade of each cell in its place: addresses upwards, time to the right.
func TestPNG(t *testing.T) {
	m := picture(t)
	var b bytes.Buffer
	if err := m.WritePNG(&b); err != nil {
		t.Fatal(err)
	}
	p, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	l, scale := m.layout(), m.Scale()
	seen := map[int]bool{}
	for i := range m.Times {
		for j := range m.Addresses {
			x, y := pixelsLeft+i*l.cellWide+l.cellWide/2, pixelsTop+l.high-j*l.cellHigh-l.cellHigh/2
			seen[scale.Level(m.Cell(i, j))] = true
			if got, want := p.At(x, y), scale.colour(m.Cell(i, j)); got != want {
				t.Fatalf("cell %d, %d: %v, want %v", i, j, got, want)
			}
		}
	}
	if !seen[-1] || !seen[9] || !seen[0] {
		t.Errorf("shades %v", seen)
	}
}

// The page refers to nothing outside, and names of others do not become code.
func TestHTML(t *testing.T) {
	m := picture(t)
	m.Stream.Context.Operations = "</script><script>alert(1)"
	var b bytes.Buffer
	if err := m.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, bad := range []string{"http:", "https:", "src=", "href=", "</script><script>"} {
		if strings.Contains(text, bad) {
			t.Errorf("%q is in it", bad)
		}
	}
	if strings.Count(text, "<script>") != 1 || !strings.Contains(text, "default-src 'none'") || strings.Contains(text, "ZgotmplZ") {
		t.Error("not one script, or it may load others")
	}
}

// Unknown cells are null, and others the very numbers.
func TestJSON(t *testing.T) {
	m := picture(t)
	text, err := json.Marshal(m.Report())
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	nulls := 0
	for i, column := range back.Cells {
		for j, c := range column {
			if c == nil {
				nulls++
			}
			if want := m.Cell(i, j); c == nil != math.IsNaN(want) || c != nil && *c != want {
				t.Errorf("cell %d, %d: %v, want %v", i, j, c, want)
			}
		}
	}
	if nulls == 0 || back.TimeUnit != m.Span() || time.Duration(back.Start) != time.Duration(m.Time(0)) {
		t.Errorf("%d nulls, %+v", nulls, back.Schema)
	}
}

// What the kernel tunes for one kdamond is nothing to another.
func TestTunedOther(t *testing.T) {
	const ms = 1e6
	setup := watched(5000, 100000)
	setup.Contexts[0].Intervals.Goal = &damon.IntervalsGoal{Aggrs: 3}
	other := &recording.Tuned{IntervalsTuned: damon.IntervalsTuned{Origin: damon.Origin{Thread: 2}, Sample: 50000}}
	m := drawn(t, Options{Times: 1, Addresses: 1}, setup, other,
		shot(1, 1000*ms, 1100*ms, damon.Region{Start: 0x1000, End: 0x2000, Accesses: 10}))
	expect(t, m, []float64{100})
}

// A target of any number, as old kernels have, is named.
func TestTargetNumber(t *testing.T) {
	e := shot(1, 1000, 2000, damon.Region{Start: 0x1000, End: 0x2000, Accesses: 4})
	e.Target = math.MaxUint64
	if m := drawn(t, Options{Times: 1, Addresses: 1}, watched(5000, 100000), e); !strings.Contains(m.Title(), "target 18446744073709551615") {
		t.Errorf("%s", m.Title())
	}
}

// How is watched may be told behind the first snapshots: all cells are of one unit.
func TestSetupLate(t *testing.T) {
	const ms = 1e6
	region := damon.Region{Start: 0x1000, End: 0x2000, Accesses: 10}
	m := drawn(t, Options{Times: 2, Addresses: 1}, shot(1, 1000*ms, 1100*ms, region), watched(5000, 100000), shot(1, 1100*ms, 1200*ms, region))
	expect(t, m, []float64{100}, []float64{100})
}

// A PNG of so many cells that it would take gigabytes is refused; as SVG it is a long text.
func TestPNGLarge(t *testing.T) {
	m := drawn(t, Options{Times: 1 << 20, Addresses: 1}, shot(1, 1e9, 2e9, damon.Region{Start: 0x1000, End: 0x2000, Accesses: 1}))
	var b bytes.Buffer
	if err := m.WritePNG(&b); !errors.Is(err, ErrLarge) || b.Len() > 0 {
		t.Errorf("%v, %d bytes", err, b.Len())
	}
	if err := m.WriteSVG(io.Discard); err != nil {
		t.Error(err)
	}
}

// What a recording says is no part of a picture's language: not what XML does not have, either.
func TestSVGForeignText(t *testing.T) {
	setup := watched(5000, 100000)
	setup.Contexts[0].Operations = "</text>\x00\x1b\xff"
	var b bytes.Buffer
	if err := drawn(t, Options{Times: 1, Addresses: 1}, setup, shot(1, 1e9, 2e9, damon.Region{Start: 0x1000, End: 0x2000})).WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(&b); ; {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
