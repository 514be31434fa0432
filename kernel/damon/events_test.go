package damon

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/tracefs"
)

// format makes a format with the fields in the order given, of eight bytes each.
func traceFormat(id int, name string, fields ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "name: %s\nID: %d\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n", name, id)
	b.WriteString("\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n")
	for i, field := range fields {
		fmt.Fprintf(&b, "\tfield:unsigned long %s;\toffset:%d;\tsize:8;\tsigned:0;\n", field, 8+8*i)
	}
	return b.String()
}

// formats answers as an instance does; what is not there is absent.
func formats(texts map[string]string) func(system, event string) (*tracefs.Format, error) {
	return func(system, event string) (*tracefs.Format, error) {
		text, ok := texts[event]
		if system != "damon" || !ok {
			return nil, fmt.Errorf("%w: %s:%s", tracefs.ErrAbsent, system, event)
		}
		return tracefs.ParseFormat(strings.NewReader(text))
	}
}

func traceEvent(kind uint16, values ...uint64) tracefs.Event {
	data := binary.LittleEndian.AppendUint16(nil, kind)
	data = binary.LittleEndian.AppendUint32(append(data, 0, 0), 77)
	for _, v := range values {
		data = binary.LittleEndian.AppendUint64(data, v)
	}
	return tracefs.Event{Time: 5, Type: kind, Data: data}
}

// Fields are found by their names, wherever they lie.
func TestDecode(t *testing.T) {
	d, err := NewDecoder(formats(map[string]string{
		"damon_aggregated":             traceFormat(1, "damon_aggregated", "age", "nr_accesses", "end", "start", "nr_regions", "target_id", "new_in_7_9"),
		"damos_before_apply":           traceFormat(2, "damos_before_apply", "context_idx", "scheme_idx", "target_idx", "start", "end", "nr_accesses", "age", "nr_regions"),
		"damos_esz":                    traceFormat(3, "damos_esz", "context_idx", "scheme_idx", "esz"),
		"damon_monitor_intervals_tune": traceFormat(4, "damon_monitor_intervals_tune", "sample_us"),
	}))
	if err != nil || len(d.Absent) > 0 {
		t.Fatal(err, d)
	}
	at := Origin{5, 77}
	for _, c := range []struct {
		from tracefs.Event
		want TraceEvent
	}{
		{traceEvent(1, 6, 5, 4, 3, 2, 1, 0), Aggregated{at, 1, 2, Region{3, 4, 5, 6}}},
		{traceEvent(2, 1, 2, 3, 4, 5, 6, 7, 8), BeforeApply{at, 1, 2, 3, 8, Region{4, 5, 6, 7}}},
		{traceEvent(3, 1, 2, 3), EffectiveSize{at, 1, 2, 3}},
		{traceEvent(4, 9), IntervalsTuned{at, 9}},
		{traceEvent(5, 9), nil},
	} {
		if got, err := d.Decode(c.from); err != nil || got != c.want {
			t.Errorf("got %+v, %v; want %+v", got, err, c.want)
		}
	}
	if got, err := d.Decode(traceEvent(1, 6, 5)); !errors.Is(err, ErrMalformed) {
		t.Errorf("an event that is cut: %+v, %v", got, err)
	}
}

func TestNewDecoderErrors(t *testing.T) {
	aggregated := traceFormat(1, "damon_aggregated", "age", "nr_accesses", "end", "start", "nr_regions", "target_id")
	d, err := NewDecoder(formats(map[string]string{"damon_aggregated": aggregated}))
	if err != nil || len(d.Absent) != 3 {
		t.Errorf("an older kernel: %+v, %v", d, err)
	}
	if _, err := NewDecoder(formats(nil)); !errors.Is(err, tracefs.ErrAbsent) {
		t.Errorf("no DAMON: %v", err)
	}
	if _, err := NewDecoder(formats(map[string]string{"damon_aggregated": strings.Replace(aggregated, " age;", " old;", 1)})); !errors.Is(err, tracefs.ErrNoField) {
		t.Errorf("no age: %v", err)
	}
}

// assemble returns what comes of events, in words.
func assemble(t *testing.T, events []Aggregated, lostBefore ...int) (got []string) {
	t.Helper()
	var a Assembler
	say := func(s *Snapshot) error {
		got = append(got, fmt.Sprintf("%d/%d %d-%d whole %v: %v", s.Thread, s.Target, s.Start, s.End, s.Whole(), s.Regions))
		return nil
	}
	for i, e := range events {
		lost := false
		for _, n := range lostBefore {
			lost = lost || n == i
		}
		if err := a.Add(e, lost, say); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Flush(say); err != nil {
		t.Fatal(err)
	}
	return got
}

func region(time int64, thread int, target, n, start uint64) Aggregated {
	return Aggregated{Origin{time, thread}, target, n, Region{Start: start, End: start + 1}}
}

// Targets of the same number of two kdamonds, mixed, are told apart.
func TestAssemble(t *testing.T) {
	got := assemble(t, []Aggregated{
		region(10, 1, 0, 2, 100), region(11, 2, 0, 1, 5), region(12, 1, 0, 2, 200), region(13, 1, 1, 1, 7),
		region(20, 1, 0, 1, 100), region(21, 2, 0, 2, 5),
	})
	want := []string{
		"2/0 0-11 whole true: [{5 6 0 0}]",
		"1/0 0-10 whole true: [{100 101 0 0} {200 201 0 0}]",
		"1/1 0-13 whole true: [{7 8 0 0}]",
		"1/0 10-20 whole true: [{100 101 0 0}]",
		"2/0 11-21 whole false: [{5 6 0 0}]",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Where regions were lost, no snapshot is whole that is not; the control is that nothing
// lost makes two whole ones.
func TestAssembleLost(t *testing.T) {
	all := []Aggregated{region(10, 1, 0, 3, 1), region(11, 1, 0, 3, 2), region(12, 1, 0, 3, 3), region(20, 1, 0, 3, 1), region(21, 1, 0, 3, 2), region(22, 1, 0, 3, 3)}
	whole := func(list []string) (n int) {
		for _, s := range list {
			if strings.Contains(s, "whole true") {
				n++
			}
		}
		return n
	}
	if got := assemble(t, all); whole(got) != 2 {
		t.Errorf("%v", got)
	}
	// 3 of the first, and 1 and 2 of the second are lost: what is left looks like one.
	if got := assemble(t, []Aggregated{all[0], all[1], all[5]}, 2); whole(got) != 0 || len(got) != 2 {
		t.Errorf("with a mark: %v", got)
	}
	// 3 of the first is lost without a mark; addresses go back.
	if got := assemble(t, append(append([]Aggregated{}, all[:2]...), all[3:]...)); whole(got) != 1 || len(got) != 2 || whole(got[1:]) != 1 {
		t.Errorf("without a mark: %v", got)
	}
}

// Halves of two snapshots make none, though nothing of what is left says that some was lost: between
// them is the time of an aggregation. The control is the same without that time, and another kdamond.
func TestAssembleApart(t *testing.T) {
	const aggregation = 100_000_000
	apart := func(s *Snapshot, between int64) bool { return s.Thread == 1 && between > aggregation/2 }
	for _, test := range []struct {
		thread int
		later  int64
		want   string
	}{
		{1, aggregation, "1 of 2, 1 of 2"}, {1, 40_000_000, "2 of 2"}, {1, 1000, "2 of 2"}, {2, aggregation, "2 of 2"},
	} {
		a := Assembler{Apart: apart}
		var got []string
		say := func(s *Snapshot) error {
			got = append(got, fmt.Sprintf("%d of %d", len(s.Regions), s.Expected))
			return nil
		}
		for _, e := range []Aggregated{region(10, test.thread, 0, 2, 1), region(10+test.later, test.thread, 0, 2, 2)} {
			if err := a.Add(e, false, say); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Flush(say); err != nil || strings.Join(got, ", ") != test.want {
			t.Errorf("%+v: %v, %v", test, got, err)
		}
	}
}

// What this kernel's kdamonds tell is made into snapshots that are whole, of threads that
// are kdamonds.
func TestLiveSnapshots(t *testing.T) {
	status, err := Default().Status(process.Default())
	if err != nil || len(status.Threads) == 0 {
		t.Skipf("no kdamond runs here, or it can't be seen: %v", err)
	}
	i, err := tracefs.New(tracefs.Options{})
	if errors.Is(err, tracefs.ErrAbsent) || errors.Is(err, tracefs.ErrDenied) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	}()
	d, err := NewDecoder(i.Enable)
	if errors.Is(err, tracefs.ErrAbsent) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	threads := map[int]bool{}
	for _, thread := range status.Threads {
		threads[thread.PID] = true
	}
	var a Assembler
	snapshots := 0
	for until := time.Now().Add(60 * time.Second); snapshots < 2 && time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		err := i.Read(false, func(e tracefs.Event) error {
			typed, err := d.Decode(e)
			one, ok := typed.(Aggregated)
			if err != nil || !ok {
				return err
			}
			return a.Add(one, e.Missed.Some, func(s *Snapshot) error {
				snapshots++
				return checkSnapshot(s, threads)
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if snapshots == 0 {
		t.Skip("no kdamond told anything for a minute")
	}
}

func checkSnapshot(s *Snapshot, threads map[int]bool) error {
	if !threads[s.Thread] {
		return fmt.Errorf("thread %d is no kdamond", s.Thread)
	}
	if !s.Whole() {
		return fmt.Errorf("%d of %d regions", len(s.Regions), s.Expected)
	}
	for i, r := range s.Regions {
		if r.End <= r.Start || i > 0 && r.Start < s.Regions[i-1].End {
			return fmt.Errorf("region %d: %+v after %+v", i, r, s.Regions[max(i-1, 0)])
		}
	}
	return nil
}
