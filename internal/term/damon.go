package term

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/damon"
)

// DAMON shows what watches memory, and whose it is.
func (w *Writer) DAMON(s *damon.Status) {
	for _, hidden := range s.Unseen {
		w.text(0, "%s", warn.Render("unknown: "+hidden))
	}
	if len(s.Threads) == 0 {
		w.line("no kdamond runs")
	}
	for _, t := range s.Threads {
		whose := "of " + string(t.Owner)
		switch t.Owner {
		case damon.BySafevma:
			whose = good.Render("set up by safevma")
		case damon.ByInterface:
			whose = "of the sysfs interface, not started by safevma; the kernel does not say by whom"
		case damon.ByUnknown:
			whose = warn.Render("nobody's that is known")
		}
		w.text(0, "%s %s: %s %s", bold.Render(t.Name), faint.Render(fmt.Sprintf("(pid %d)", t.PID)), whose, faint.Render("("+t.Evidence+")"))
	}
	for _, h := range s.Holders {
		w.text(0, "%s (pid %d) has files of the interface open: %s", bold.Render(h.Name), h.PID, strings.Join(h.Files, ", "))
	}
	w.modules(s.Modules)
	if s.Interface == nil {
		return
	}
	for n := range s.Interface.Kdamonds {
		w.kdamond(n, &s.Interface.Kdamonds[n])
	}
	if len(s.Interface.Unknown) > 0 {
		w.text(0, "%s", warn.Render("files that this version does not know: "+guarantee.Text(strings.Join(s.Interface.Unknown, ", "))))
	}
}

func (w *Writer) modules(m *damon.Modules) {
	if m == nil {
		return
	}
	state := func(name string, there, enabled bool) string {
		switch {
		case !there:
			return name + " not built"
		case enabled:
			return name + " " + warn.Render("enabled")
		}
		return name + " off"
	}
	w.text(0, "modules: %s, %s, %s", state("damon_reclaim", m.Reclaim != nil, m.Reclaim != nil && m.Reclaim.Enabled),
		state("damon_lru_sort", m.LRUSort != nil, m.LRUSort != nil && m.LRUSort.Enabled),
		state("damon_stat", m.Stat != nil, m.Stat != nil && m.Stat.Enabled))
}

func (w *Writer) kdamond(n int, k *damon.Kdamond) {
	w.line("")
	state := faint.Render(string(k.State))
	if k.State == damon.On {
		state = good.Render("on")
	}
	w.line("%s: %s", bold.Render(fmt.Sprintf("kdamond %d", n)), state)
	for i := range k.Contexts {
		c := &k.Contexts[i]
		in := &c.Attrs.Intervals
		w.text(2, "watches %s: sample %s, aggregation %s, update %s, %d to %d regions", c.Operations, micros(in.Sample),
			micros(in.Aggr), micros(in.Update), c.Attrs.Regions.Min, c.Attrs.Regions.Max)
		if in.Goal != nil && in.Goal.Aggrs > 0 {
			w.text(2, "intervals are tuned: %d/10000 of accesses in %d aggregations, samples of %s to %s", in.Goal.AccessBP, in.Goal.Aggrs,
				micros(in.Goal.MinSample), micros(in.Goal.MaxSample))
		}
		w.targets(c)
		for j := range c.Schemes {
			w.scheme(j, &c.Schemes[j], c.Operations, k)
		}
	}
}

func (w *Writer) targets(c *damon.Context) {
	unit := uint64(1)
	if c.AddrUnit != nil {
		unit = *c.AddrUnit
	}
	for i, t := range c.Targets {
		what := fmt.Sprintf("pid %d", t.PID)
		if c.Operations == damon.PAddr {
			what = "physical memory"
		}
		var ranges []string
		for _, r := range t.Regions {
			ranges = append(ranges, fmt.Sprintf("%#x-%#x (%s)", r.Start, r.End, Size((r.End-r.Start)*unit)))
		}
		w.text(2, "target %d: %s %s", i, what, strings.Join(ranges, ", "))
	}
}

func (w *Writer) scheme(n int, s *damon.Scheme, by damon.Operations, k *damon.Kdamond) {
	w.text(2, "%s: %s, of size %s, nr_accesses %s, age %s", bold.Render(fmt.Sprintf("scheme %d", n)), bold.Render(string(s.Action)),
		between(s.Pattern.Size), between(s.Pattern.Accesses), between(s.Pattern.Age))
	q := &s.Quotas
	quota := "no quota"
	if q.MS > 0 || q.Bytes > 0 || len(q.Goals) > 0 {
		quota = fmt.Sprintf("quota %d ms and %s in %d ms (0: no limit), weights size %d, accesses %d, age %d", q.MS,
			Size(q.Bytes), q.ResetMS, q.Weights.Size, q.Weights.Accesses, q.Weights.Age)
	}
	w.text(4, "%s", quota)
	for i, g := range q.Goals {
		metric := damon.UserInput
		if g.Metric != nil {
			metric = *g.Metric
		}
		w.text(4, "goal %d: %s of %d, is %d", i, guarantee.Text(string(metric)), g.Target, g.Current)
	}
	if m := &s.Watermarks; m.Metric != damon.NoWatermark {
		w.text(4, "watermarks: %s, high %d, mid %d, low %d", guarantee.Text(string(m.Metric)), m.High, m.Mid, m.Low)
	}
	for _, f := range s.Order(by) {
		file := f.File
		if file == "" {
			file = "the kernel's own"
		}
		w.text(4, "%s: %s", file, guarantee.Text(f.String()))
	}
	t := &s.Stats
	stale := ""
	if k.RefreshMS == nil || *k.RefreshMS == 0 {
		stale = faint.Render(" (as last asked for; nothing updates them)")
	}
	w.text(4, "tried %d regions (%s), applied %d (%s), quota exceeded %d times%s", t.Tried, Size(t.SizeTried),
		t.Applied, Size(t.SizeApplied), t.QuotaExceeds, stale)
}

func micros(n uint64) string {
	if n > math.MaxInt64/1000 {
		return fmt.Sprintf("%d µs", n)
	}
	return (time.Duration(n) * time.Microsecond).String()
}

// between writes a range, without an end where there is none.
func between(r damon.Range) string {
	switch {
	case r.Max >= math.MaxUint32 && r.Min == 0:
		return "any"
	case r.Max >= math.MaxUint32:
		return fmt.Sprintf("≥ %d", r.Min)
	}
	return fmt.Sprintf("%d to %d", r.Min, r.Max)
}

// DAMONLint shows what is wrong or surprising.
func (w *Writer) DAMONLint(r *damon.LintReport) {
	styles := map[damon.Severity]interface{ Render(...string) string }{damon.Failure: bad, damon.Warning: warn, damon.Note: faint}
	for _, f := range r.Findings {
		w.text(0, "%s %s %s", styles[f.Severity].Render(string(f.Severity)), bold.Render(f.Kind), f.File)
		w.text(2, "%s", f.What)
		w.text(2, "%s", faint.Render(f.Do))
	}
	w.line("schemes: %d; errors: %d, warnings: %d, notes: %d", r.Schemes, r.Errors, r.Warnings, r.Notes)
}

// DAMONExplain shows what each scheme does with a page.
func (w *Writer) DAMONExplain(r *damon.ExplainReport) {
	w.text(0, "%s", bold.Render(r.Page))
	if len(r.Schemes) == 0 {
		w.line("there is no scheme")
	}
	for _, s := range r.Schemes {
		verdict := bold.Render(string(s.Verdict))
		if s.Verdict == damon.Open {
			verdict = warn.Render(string(s.Verdict))
		}
		w.text(0, "%s (%s, %s): %s: %s", s.File, s.Operations, s.Action, verdict, s.Why)
		for _, step := range s.Steps {
			matches := "not known"
			if step.Matches != nil {
				matches = map[bool]string{true: "matches", false: "does not match"}[*step.Matches]
			}
			w.text(2, "%s: %s: %s", step.File, step.Filter, matches)
		}
		if len(s.Needs) > 0 {
			w.text(2, "to decide, say: %s", strings.Join(s.Needs, ", "))
		}
	}
}
