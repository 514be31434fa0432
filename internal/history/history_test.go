package history

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

func r(key, value uint64) Op       { return Op{Kind: Read, Key: key, Value: value} }
func w(key, value uint64) Op       { return Op{Kind: Write, Key: key, Value: value} }
func l(key uint64, l ...uint64) Op { return Op{Kind: ReadList, Key: key, List: l} }
func a(key, value uint64) Op       { return Op{Kind: Append, Key: key, Value: value} }
func at(begin, end int64, ops ...Op) Transaction {
	return Transaction{Begin: begin, End: end, Ops: ops}
}

func (t Transaction) as(o Outcome) Transaction { t.Outcome = o; return t }

// Each anomaly is called by its name, and a reader finds why.
func TestAnomalies(t *testing.T) {
	tests := []struct {
		name  string
		h     History
		want  Anomaly
		words string
	}{
		{"does not see its own",
			History{at(0, 9, r(1, 0), w(1, 5), r(1, 0))}, Internal, "T0 wrote 5 to key 1, and then read 0 there"},
		{"sees its own too early", History{at(0, 9, r(1, 5), w(1, 5))}, Internal, "before it wrote it"},
		{"its own not last", History{at(0, 9, a(1, 5), l(1, 5, 6)), at(0, 9, a(1, 6))}, Internal, "its own must come last"},
		{"nobody wrote it", History{at(0, 9, r(1, 7))}, Phantom, "T0 read 7 at key 1, which nobody wrote there"},
		{"of another key", History{at(0, 9, r(1, 7)), at(0, 9, r(2, 0), w(2, 7))}, Phantom, "T0 read 7 at key 1"},
		{"its own of another key", History{at(0, 9, a(2, 7), l(1, 7, 8)), at(0, 9, a(1, 8))}, Phantom, "T0 read 7 at key 1"},
		{"twice", History{at(0, 9, a(1, 7)), at(0, 9, l(1, 7, 7))}, Phantom, "twice in one list"},
		{"aborted",
			History{at(0, 9, r(1, 0), w(1, 7)).as(Aborted), at(0, 9, r(1, 7))}, AbortedRead, "written by T0, which aborted"},
		{"aborted, in a list",
			History{at(0, 9, a(1, 7)).as(Aborted), at(0, 9, l(1, 7, 8)), at(0, 9, a(1, 8))}, AbortedRead, "T1 read 7"},
		{"intermediate",
			History{at(0, 9, r(1, 0), w(1, 7), w(1, 8)), at(0, 9, r(1, 7))},
			IntermediateRead, "T1 read 7 at key 1, which T0 wrote and then"},
		{"intermediate, in a list",
			History{at(0, 9, a(1, 7), a(1, 8)), at(0, 9, l(1, 7))}, IntermediateRead, "T1 read 7 at key 1"},
		{"orders",
			History{at(0, 9, a(1, 7)), at(0, 9, a(1, 8)), at(0, 9, l(1, 7, 8)), at(0, 9, l(1, 8, 7))},
			Incompatible, "neither is the beginning"},
		{"a part is missing",
			History{at(0, 9, a(1, 7), a(1, 8)), at(0, 9, l(1, 8))},
			ReadSkew, "T1 before T0: it read key 1 up to 8, and did not see 7"},
		{"the wrong way round",
			History{at(0, 9, a(1, 7), a(1, 8)), at(0, 9, l(1, 8, 7, 9)), at(0, 9, a(1, 9))},
			Incompatible, "T1 read 8 before 7 at key 1, which T0 appended the other way round"},
		{"lost update", History{at(0, 9, r(1, 0), w(1, 7)), at(0, 9, r(1, 0), w(1, 8))}, LostUpdate,
			"T0 before T1: it read what it began with at key 1, and did not see 8, which the other wrote after that"},
		{"lost update of a list", History{at(0, 9, l(1), a(1, 7)), at(0, 9, l(1), a(1, 8))}, LostUpdate, "T1 before T0"},
		{"dirty write",
			History{at(0, 9, a(1, 10), a(2, 20)), at(0, 9, a(1, 11), a(2, 21)), at(10, 11, l(1, 10, 11)), at(10, 11, l(2, 21, 20))}, DirtyWrite,
			"T1 before T0: it wrote 21 to key 2, and the other wrote 20 after that"},
		{"dirty write of registers",
			History{at(0, 9, r(1, 0), w(1, 10), r(2, 20), w(2, 21)), at(0, 9, r(2, 0), w(2, 20), r(1, 10), w(1, 11))}, DirtyWrite,
			"T0 before T1: it wrote 10 to key 1, and the other wrote 11 after that"},
		{"the second of its appends was missed",
			History{at(0, 9, a(1, 7), a(1, 8), a(2, 20)), at(0, 9, l(1, 7, 9), l(2, 20)), at(0, 9, a(1, 9))}, DirtyWrite,
			"T2 before T0: it wrote 9 to key 1, and the other wrote 8 after that"},
		{"circular flow, with a skew in it",
			History{at(0, 9, a(1, 10), l(2, 20), l(3)), at(0, 9, a(2, 20), l(1, 10), a(3, 30))},
			CircularFlow, "the other read that"},
		{"circular flow", History{at(0, 9, a(1, 10), l(2, 20)), at(0, 9, a(2, 20), l(1, 10))}, CircularFlow,
			"T0 before T1: it wrote 10 to key 1, and the other read that"},
		{"read skew", History{at(0, 9, r(1, 0), w(1, 10), r(2, 0), w(2, 20)), at(0, 9, r(1, 0), r(2, 20))}, ReadSkew,
			"T1 before T0: it read what it began with at key 1, and did not see 10, which the other wrote after that"},
		{"a read that changed",
			History{at(0, 9, r(1, 0), w(1, 10)), at(0, 9, r(1, 0), r(1, 10))},
			ReadSkew, "so T1 would have to come before itself"},
		{"two readings of a list, one before its own append",
			History{at(0, 9, l(1, 7, 8), a(1, 10), l(1, 8, 7, 10)), at(0, 9, a(1, 7)), at(0, 9, a(1, 8))}, Incompatible,
			"T0 read [8 7] at key 1, another one [7 8]"},
		{"write skew",
			History{at(0, 9, r(1, 0), r(2, 0), w(1, 10)), at(0, 9, r(1, 0), r(2, 0), w(2, 20))}, WriteSkew, "did not see 20"},
		{"write skew of lists",
			History{at(0, 9, l(1), a(2, 20)), at(0, 9, l(2), a(1, 10))}, WriteSkew, "it read key 1 up to what it began with"},
		{"stale",
			History{at(0, 1, r(1, 0), w(1, 10)), at(2, 3, r(1, 0))},
			NotRealTime, "T0 before T1: it ended at 1, and the other began at 2"},
		{"unknown, seen",
			History{at(0, 1, r(1, 0), w(1, 10)).as(Unknown), at(2, 3, r(1, 10)), at(4, 5, r(1, 0))},
			NotRealTime, "T1 before T2"},
		{"unknown, before its begin",
			History{at(5, 9, r(1, 0), w(1, 10)).as(Unknown), at(2, 3, r(1, 10))}, NotRealTime, "T1 before T0: it ended at 3"},
	}
	for _, tt := range tests {
		report, err := Check(tt.h, Options{})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if len(report.Counts) != 1 || !report.Has(tt.want) || report.OK() || report.Serialisable() != (tt.want == NotRealTime) || !strings.Contains(report.String(), tt.words) {
			t.Errorf("%s: want %s, %q, got %s", tt.name, tt.want, tt.words, report)
		}
	}
}

// Near misses of the above.
func TestSerialisable(t *testing.T) {
	tests := []struct {
		name string
		h    History
	}{
		{"empty", nil},
		{"concurrent, either order", History{at(0, 9, r(1, 0), w(1, 10)), at(0, 9, r(1, 0))}},
		{"its own", History{at(0, 9, r(1, 0), w(1, 7), r(1, 7), w(1, 8), r(1, 8)), at(10, 11, r(1, 8))}},
		{"one after the other", History{at(0, 1, r(1, 0), w(1, 7)), at(2, 3, r(1, 7), w(1, 8)), at(4, 5, r(1, 8))}},
		{"a moment in common is no order", History{at(0, 2, r(1, 0), w(1, 10)), at(2, 3, r(1, 0))}},
		{"nobody saw the unknown",
			History{at(0, 1, r(1, 0), w(1, 10)).as(Unknown), at(2, 3, r(1, 0), w(1, 11)), at(4, 5, r(1, 11))}},
		{"unknown, late", History{at(0, 1, r(1, 0), w(1, 10)).as(Unknown), at(2, 3, r(1, 0)), at(4, 5, r(1, 10))}},
		{"unknown, seen by an unknown that nobody saw",
			History{at(0, 1, r(1, 0), w(1, 10)).as(Unknown), at(2, 3, r(1, 10), r(2, 0), w(2, 20)).as(Unknown), at(4, 5, r(1, 0))}},
		{"appends that nobody saw", History{at(0, 9, a(1, 7)), at(0, 9, a(1, 8)), at(0, 9, l(1))}},
		{"an aborted one read nonsense", History{at(0, 9, r(1, 7)).as(Aborted)}},
	}
	for _, tt := range tests {
		if report, err := Check(tt.h, Options{}); err != nil || !report.OK() || !report.Serialisable() {
			t.Errorf("%s: %v, %s", tt.name, err, report)
		}
	}
}

// What an aborted attempt read counts where that is asked for.
func TestAttempts(t *testing.T) {
	h := History{at(0, 9, r(1, 0), w(1, 10), r(2, 0), w(2, 20)), at(0, 9, r(1, 0), r(2, 20), w(2, 21)).as(Aborted)}
	for attempts, want := range map[bool]bool{false: true, true: false} {
		if report, err := Check(h, Options{Attempts: attempts}); err != nil || report.OK() != want {
			t.Errorf("attempts %v: %v, %s", attempts, err, report)
		}
	}
}

// What cannot be checked is an error, never a pass.
func TestErrors(t *testing.T) {
	tests := []struct {
		want string
		h    History
	}{
		{"did not read it before", History{at(0, 1, w(1, 7))}},
		{"a value of its own", History{at(0, 1, r(1, 0), w(1, 7)), at(0, 1, r(2, 0), w(2, 7))}},
		{"not 0", History{at(0, 1, a(1, 0))}},
		{"register and as a list", History{at(0, 1, r(1, 0)), at(0, 1, a(1, 7))}},
		{"ends before it begins", History{at(2, 1)}},
	}
	for _, tt := range tests {
		if report, err := Check(tt.h, Options{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, %v, want %q", report, err, tt.want)
		}
	}
}

// All findings are counted, and as many as asked for are described.
func TestDetails(t *testing.T) {
	var h History
	for i := range uint64(10) {
		h = append(h, at(0, 9, r(i, 0), w(i, 100+i)), at(0, 9, r(i, 0), w(i, 200+i)))
	}
	report, err := Check(h, Options{Details: 3})
	if err != nil || report.Counts[LostUpdate] != 10 || len(report.Findings) != 3 {
		t.Errorf("%v: %s", err, report)
	}
}

// Each group of transactions that form a cycle is told by itself, also where what is
// weaker joins them.
func TestGroups(t *testing.T) {
	h := History{
		at(0, 9, l(1), a(2, 20)), at(0, 9, l(2), a(1, 10)),
		at(10, 19, l(3), a(4, 40)), at(10, 19, l(4), a(3, 30)),
		at(20, 29, l(2)),
	}
	report, err := Check(h, Options{})
	if err != nil || len(report.Counts) != 1 || report.Counts[WriteSkew] != 2 {
		t.Errorf("%v: %s", err, report)
	}
	h[0].Ops, h[2].Ops = h[0].Ops[1:], h[2].Ops[1:]
	report, err = Check(h, Options{})
	if err != nil || len(report.Counts) != 1 || report.Counts[NotRealTime] != 1 {
		t.Errorf("%v: %s", err, report)
	}
}

// A write skew in which but one missed a write is a read skew.
func TestName(t *testing.T) {
	h := History{at(0, 9, l(1), a(2, 20)), at(0, 9, l(2), a(1, 10))}
	for reason, want := range map[Reason]Anomaly{WriteRead: ReadSkew, ReadWrite: WriteSkew} {
		c := checker{history: h, options: Options{Details: 1}, report: &Report{history: h, Counts: map[Anomaly]int{}}}
		if err := c.index(); err != nil {
			t.Fatal(err)
		}
		c.name(WriteSkew, []edge{{0, 1, 0, ReadWrite}, {1, 0, 1, reason}})
		if !c.report.Has(want) {
			t.Errorf("want %s: %s", want, c.report)
		}
	}
}

// The shortest of several cycles is told: two transactions of a ring of many.
func TestShortest(t *testing.T) {
	const n = 50
	var h History
	for i := range uint64(n) { // each reads what the next one writes, before it does
		h = append(h, at(0, 9, l((i+1)%n), a(i, 100+i)))
	}
	report, err := Check(h, Options{})
	if err != nil || report.Counts[WriteSkew] != 1 || len(report.Findings[0].Steps) != n {
		t.Errorf("%v: %s", err, report)
	}
	h[30].Ops = append(h[30].Ops, l(20))
	h[20].Ops = append(h[20].Ops, l(30))
	report, err = Check(h, Options{})
	if err != nil || report.Counts[WriteSkew] != 1 || !slices.Equal(sorted(report.Findings[0].Transactions), []int{20, 30}) {
		t.Errorf("%v: %s", err, report)
	}
}

// A cycle through 100,000 transactions is found too, and the report stays short.
func TestLongCycle(t *testing.T) {
	n := uint64(100_000)
	if testing.Short() {
		n = 10_000
	}
	var h History
	for i := range n {
		h = append(h, at(0, 9, l((i+1)%n), a(i, n+i)))
	}
	report, err := Check(h, Options{})
	if err != nil || report.Counts[WriteSkew] != 1 || len(report.Findings[0].Steps) != int(n) {
		t.Fatalf("%v: %s", err, report)
	}
	if text := report.String(); len(text) > 5000 || !strings.Contains(text, fmt.Sprintf("and %d more steps, the last one back to T", n-mostSteps)) {
		t.Errorf("%d bytes: %.5000s", len(text), text)
	}
	h[n-1].Ops = h[n-1].Ops[1:]
	if report, err := Check(h, Options{}); err != nil || !report.OK() {
		t.Errorf("%v: %s", err, report)
	}
}

func sorted(list []int) []int { slices.Sort(list); return list }

// Sessions record side by side: values are unique, one goroutine's transactions follow each
// other, a transaction that ran again has an aborted attempt, one that did not end is of
// unknown outcome, and what the caller does with a list afterwards does not matter.
func TestRecorder(t *testing.T) {
	var rec Recorder
	var wait sync.WaitGroup
	const sessions, rounds = 4, 2100 // more than one piece of everything
	for range sessions {
		s := rec.Session()
		wait.Go(func() {
			for i := range rounds {
				s.Begin()
				s.Attempt()
				s.Append(uint64(s.number), s.Value())
				s.Attempt()
				list := []uint64{uint64(i), 1}
				s.ReadList(9, list)
				list[0] = 77
				s.Read(10, 5)
				s.Write(10, s.Value())
				if i < rounds-1 {
					s.End(Committed)
				}
			}
		})
	}
	wait.Wait()
	h := rec.History()
	if len(h) != 2*sessions*rounds {
		t.Fatalf("%d transactions", len(h))
	}
	values, ends, turns := map[uint64]bool{}, map[int]int64{}, map[int]int{}
	for i, tr := range h {
		first := turns[tr.Session]%2 == 0
		turn := turns[tr.Session] / 2
		turns[tr.Session]++
		want := map[bool]Outcome{true: Aborted, false: Committed}[first]
		if !first && turn == rounds-1 {
			want = Unknown
		}
		if tr.Outcome != want || i > 0 && h[i-1].Begin > tr.Begin || first && tr.Begin <= ends[tr.Session] || tr.End <= tr.Begin {
			t.Fatalf("transaction %d: %s, after %s", i, tr, h[max(i-1, 0)])
		}
		ends[tr.Session] = tr.End
		text := fmt.Sprint(tr)
		if first != strings.Contains(text, "append(") || !first && !strings.Contains(text, fmt.Sprintf("read(9)=[%d 1] read(10)=5 write(10,%d:", turn, tr.Session)) {
			t.Fatalf("transaction %d: %s", i, text)
		}
		v := tr.Ops[len(tr.Ops)-1].Value
		if values[v] {
			t.Fatalf("%d twice", v)
		}
		values[v] = true
	}
}
