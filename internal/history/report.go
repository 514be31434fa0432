package history

import (
	"fmt"
	"strings"
)

// Report is what Check found.
type Report struct {
	Committed, Aborted, Unknown int
	Seen                        int // of those of unknown outcome: these count as committed
	Operations, Edges           int
	Counts                      map[Anomaly]int // of findings, those without details included
	Findings                    []Finding

	history History
}

// Finding is one anomaly: a cycle, or a read that no order explains.
type Finding struct {
	Anomaly      Anomaly
	Transactions []int    // indices of the history; of a cycle in its order
	Steps        []string // of a cycle: why each transaction must come before the next one, and the last before the first
	Text         string   // of a read
}

// OK says that the history is strictly serialisable.
func (r *Report) OK() bool { return len(r.Counts) == 0 }

// Serialisable says that the history is serialisable, if not in an order that keeps real
// time.
func (r *Report) Serialisable() bool {
	return len(r.Counts) == 0 || len(r.Counts) == 1 && r.Counts[NotRealTime] > 0
}

// Has says that the report has an anomaly of this kind.
func (r *Report) Has(a Anomaly) bool { return r.Counts[a] > 0 }

// String tells the findings in words.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d transactions committed, %d aborted, %d of unknown outcome (%d of them seen); %d operations, %d edges: ",
		r.Committed, r.Aborted, r.Unknown, r.Seen, r.Operations, r.Edges)
	if r.OK() {
		b.WriteString("strictly serialisable\n")
		return b.String()
	}
	b.WriteString("not strictly serialisable\n")
	for a := Internal; a <= NotRealTime; a++ {
		if n := r.Counts[a]; n > 0 {
			fmt.Fprintf(&b, "  %s: %d\n", a, n)
		}
	}
	for _, f := range r.Findings {
		b.WriteString(r.describe(f))
	}
	return b.String()
}

func (r *Report) describe(f Finding) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:\n", f.Anomaly)
	if f.Text != "" {
		fmt.Fprintf(&b, "  %s\n", f.Text)
	}
	for _, step := range f.Steps[:min(len(f.Steps), mostSteps)] {
		fmt.Fprintf(&b, "  %s\n", step)
	}
	if more := len(f.Steps) - mostSteps; more > 0 {
		fmt.Fprintf(&b, "  and %d more steps, the last one back to T%d\n", more, f.Transactions[0])
	}
	if len(f.Steps) > 0 {
		fmt.Fprintf(&b, "  so T%d would have to come before itself\n", f.Transactions[0])
	}
	for _, t := range f.Transactions[:min(len(f.Transactions), mostSteps)] {
		fmt.Fprintf(&b, "    T%d: %s\n", t, r.history[t])
	}
	return b.String()
}

// What bounds how much of a cycle and of a transaction is shown.
const (
	mostSteps = 12
	mostOps   = 16
)

func (t Transaction) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "session %d, %d to %d, %s:", t.Session, t.Begin, t.End, t.Outcome)
	for i, op := range t.Ops {
		if i == mostOps {
			fmt.Fprintf(&b, " and %d more", len(t.Ops)-i)
			break
		}
		fmt.Fprintf(&b, " %s", op)
	}
	return b.String()
}

func (o Op) String() string {
	switch o.Kind {
	case Read:
		return fmt.Sprintf("read(%d)=%s", o.Key, word(o.Value))
	case Write:
		return fmt.Sprintf("write(%d,%s)", o.Key, word(o.Value))
	case ReadList:
		return fmt.Sprintf("read(%d)=%s", o.Key, words(o.List))
	}
	return fmt.Sprintf("append(%d,%s)", o.Key, word(o.Value))
}

// word shows a value of a Recorder as session:number.
func word(value uint64) string {
	if session := value >> sessionShift; session > 0 {
		return fmt.Sprintf("%d:%d", session-1, value&(1<<sessionShift-1))
	}
	return fmt.Sprint(value)
}

// words shows the end of a list, where it differs from others.
func words(list []uint64) string {
	const most = 8
	var b strings.Builder
	b.WriteByte('[')
	if left := len(list) - most; left > 0 {
		fmt.Fprintf(&b, "%d values ... ", left)
		list = list[left:]
	}
	for i, value := range list {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(word(value))
	}
	b.WriteByte(']')
	return b.String()
}

// find reports a read that no order explains.
func (c *checker) find(a Anomaly, transactions []int32, format string, args ...any) {
	if c.first(a) {
		c.report.Findings = append(c.report.Findings, Finding{
			Anomaly: a, Transactions: ints(transactions), Text: fmt.Sprintf(format, args...)})
	}
}

// findCycle reports a cycle.
func (c *checker) findCycle(a Anomaly, cycle []edge) {
	if !c.first(a) {
		return
	}
	f := Finding{Anomaly: a}
	for _, e := range cycle {
		f.Transactions = append(f.Transactions, int(e.from))
		f.Steps = append(f.Steps, c.step(e))
	}
	c.report.Findings = append(c.report.Findings, f)
}

// first counts a finding, and says whether it is one of those with details.
func (c *checker) first(a Anomaly) bool {
	c.report.Counts[a]++
	return c.report.Counts[a] <= c.options.Details
}

func ints(list []int32) []int {
	var out []int
	for _, n := range list {
		out = append(out, int(n))
	}
	return out
}

// step says why e.from must come before e.to.
func (c *checker) step(e edge) string {
	if e.reason == RealTime {
		return fmt.Sprintf("T%d before T%d: it ended at %d, and the other began at %d",
			e.from, e.to, c.history[e.from].End, c.history[e.to].Begin)
	}
	v := &c.versions[e.version]
	held := word(v.value)
	if v.writer < 0 {
		held = "what it began with"
	}
	switch e.reason {
	case WriteWrite:
		return fmt.Sprintf("T%d before T%d: it wrote %s to key %d, and the other wrote %s after that",
			e.from, e.to, held, v.key, c.wrote(e.to, v))
	case WriteRead:
		return fmt.Sprintf("T%d before T%d: it wrote %s to key %d, and the other read that", e.from, e.to, held, v.key)
	}
	saw := fmt.Sprintf("%s at key %d", held, v.key)
	if c.keys[v.key].list {
		saw = fmt.Sprintf("key %d up to %s", v.key, held)
	}
	return fmt.Sprintf("T%d before T%d: it read %s, and did not see %s, which the other wrote after that",
		e.from, e.to, saw, c.wrote(e.to, v))
}

// wrote returns what a transaction wrote first after a version.
func (c *checker) wrote(t int32, after *version) string {
	for _, op := range c.history[t].Ops {
		if op.Key != after.key || op.Kind != Write && op.Kind != Append {
			continue
		}
		if place := c.versions[c.values[op.Value]].place; place == 0 || place > after.place {
			return word(op.Value)
		}
	}
	return "something"
}
