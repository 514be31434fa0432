package term

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/watch/access"
	"github.com/safevma/safevma/watch/recording"
)

// target names what was watched.
func (w *Writer) target(thread int, target uint64, c *recording.Context, snapshots, partial uint64) {
	what := fmt.Sprintf("thread %d, target %d", thread, target)
	if c != nil {
		what = fmt.Sprintf("kdamond %d, target %d", c.Kdamond, target)
		if c.Owner != "" {
			what += fmt.Sprintf(" (%s, thread %d)", c.Owner, thread)
		}
		if pid, ok := c.TargetPID(target); ok {
			what += fmt.Sprintf(", pid %d", pid)
		} else if c.Operations != "" {
			what += ", " + guarantee.Text(string(c.Operations))
		}
		if c.Intervals.Aggr > 0 {
			what += fmt.Sprintf("; sample %s, aggregation %s", micros(c.Intervals.Sample), micros(c.Intervals.Aggr))
		}
	}
	w.text(0, "%s; %d snapshots%s", bold.Render(what), snapshots, partialText(partial))
}

func partialText(n uint64) string {
	if n == 0 {
		return ""
	}
	return warn.Render(fmt.Sprintf(", %d of them lack regions", n))
}

// Access shows the last snapshot of each target: the hottest regions first, unless all are
// asked for, in the order of addresses then.
func (w *Writer) Access(r *access.Report, all bool) {
	if r.Lost > 0 {
		w.text(0, "%s", warn.Render(fmt.Sprintf("at least %d events were lost", r.Lost)))
	}
	for i := range r.Targets {
		t := &r.Targets[i]
		if i > 0 {
			w.line("")
		}
		w.target(t.Thread, t.Target, t.Context, t.Snapshots, t.Partial)
		when := ""
		if at := r.Wall(t); !at.IsZero() {
			when = " at " + at.Format("2006-01-02 15:04:05 MST")
		}
		w.text(0, "last whole one%s: %d regions, %s", when, len(t.Regions), Size(t.Bytes))
		w.line("")
		w.regions(t, all)
		w.buckets("LAST ACCESSED", t.Recency, lastAccessed)
		w.buckets("TEMPERATURE (seconds hot; below 0: seconds cold)", t.Temperature, betweenSeconds)
	}
}

func (w *Writer) regions(t *access.Target, all bool) {
	rows := slices.Clone(t.Regions)
	if !all {
		slices.SortStableFunc(rows, func(a, b access.Region) int {
			return cmp.Or(cmp.Compare(b.Accesses, a.Accesses), cmp.Compare(b.Age, a.Age))
		})
		rows = rows[:min(len(rows), rowsShown)]
	}
	w.line("%s", bold.Render(fmt.Sprintf("%-33s %9s %9s %9s", "ADDRESSES", "SIZE", "ACCESSED", "FOR")))
	for i := range rows {
		r := &rows[i]
		rate, age := fmt.Sprintf("%d×", r.Accesses), fmt.Sprintf("%d", r.Age)
		if r.Rate != nil {
			rate, age = fmt.Sprintf("%.3g %%", *r.Rate), seconds(*r.Seconds)
		}
		style := faint
		if r.Accesses > 0 {
			style = warn
		}
		w.line("%-33s %9s %s %9s", fmt.Sprintf("%x-%x", r.Start, r.End), Size(r.Bytes), style.Render(fmt.Sprintf("%9s", rate)), age)
	}
	if left := len(t.Regions) - len(rows); left > 0 {
		w.line("%s", faint.Render(fmt.Sprintf("%d more regions: --all", left)))
	}
}

// barCells is how long the longest bar is.
const barCells = 30

func (w *Writer) buckets(title string, list []access.Bucket, name func(access.Bucket) string) {
	if len(list) == 0 {
		return
	}
	w.line("")
	w.line("%s", bold.Render(title))
	most := uint64(1)
	for _, b := range list {
		most = max(most, b.Bytes)
	}
	for _, b := range list {
		w.line("%-22s %9s %s", name(b), Size(b.Bytes), bar(b.Bytes, most))
	}
}

func bar(n, most uint64) string {
	cells := int(float64(n) / float64(most) * barCells)
	if n > 0 {
		cells = max(cells, 1)
	}
	return good.Render(strings.Repeat("#", cells))
}

func lastAccessed(b access.Bucket) string {
	switch {
	case b.To == nil:
		return seconds(b.From) + " ago and longer"
	case *b.To == 0:
		return "now"
	case b.From == 0:
		return "less than " + seconds(*b.To) + " ago"
	}
	return seconds(b.From) + " to " + seconds(*b.To) + " ago"
}

func betweenSeconds(b access.Bucket) string { return seconds(b.From) + " to " + seconds(*b.To) }

// seconds writes a time with three digits or so.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch abs := max(d, -d); {
	case abs >= 24*time.Hour:
		return fmt.Sprintf("%.3g d", d.Hours()/24)
	case abs >= time.Hour:
		return fmt.Sprintf("%.3g h", d.Hours())
	case abs >= time.Minute:
		return fmt.Sprintf("%.3g min", d.Minutes())
	case abs >= time.Second || d == 0:
		return fmt.Sprintf("%.3g s", d.Seconds())
	}
	return fmt.Sprintf("%.3g ms", d.Seconds()*1000)
}

// WorkingSets shows how large the working sets were.
func (w *Writer) WorkingSets(s *access.WorkingSets) {
	for i := range s.Targets {
		t := &s.Targets[i]
		if i > 0 {
			w.line("")
		}
		w.target(t.Thread, t.Target, t.Context, uint64(t.Snapshots), 0)
		if t.Partial > 0 {
			w.text(0, "%s", warn.Render(fmt.Sprintf("%d snapshots lack regions, and do not count", t.Partial)))
		}
		w.text(0, "accessed at least %d× in an aggregation: %s on average", s.Accesses, Size(t.Average))
		w.percentiles("BY SIZE", t.BySize)
		w.percentiles("BY TIME", t.ByTime)
	}
}

func (w *Writer) percentiles(title string, list []access.Percentile) {
	w.line("")
	w.line("%s", bold.Render(title))
	most := uint64(1)
	for _, p := range list {
		most = max(most, p.Bytes)
	}
	for _, p := range list {
		w.line("%4d %% %9s %s", p.Percent, Size(p.Bytes), bar(p.Bytes, most))
	}
}

// Footprints shows how much memory was used.
func (w *Writer) Footprints(f *access.Footprints) {
	for i := range f.Of {
		of := &f.Of[i]
		if i > 0 {
			w.line("")
		}
		who, resident, shared := "host", "NOT FREE", "FILE CACHE"
		if of.PID != 0 {
			who, resident, shared = fmt.Sprintf("pid %d", of.PID), "RESIDENT", "SHARED"
		}
		w.line("%s", bold.Render(fmt.Sprintf("%s: %d samples", who, of.Samples)))
		w.line("%6s %10s %10s %10s", "", resident, shared, "SIZE")
		for j, p := range of.Resident {
			w.line("%4d %% %10s %10s %10s", p.Percent, Size(p.Bytes), Size(of.Shared[j].Bytes), Size(of.Size[j].Bytes))
		}
	}
}
