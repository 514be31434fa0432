package damon

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Severity is how much a finding matters.
type Severity string

// The severities.
const (
	Failure Severity = "error"   // the kernel refuses it, or what is written has no effect
	Warning Severity = "warning" // it has another effect than one would think
	Note    Severity = "note"    // worth knowing
)

// Finding is what is wrong or surprising.
type Finding struct {
	Severity Severity `json:"severity"`
	// Kind is stable, such as "dead-filter".
	Kind string `json:"kind"`
	File string `json:"file"` // below the directory of the kdamonds
	What string `json:"what"`
	Do   string `json:"do"`
}

// Lint says what of a configuration is wrong or surprising: what [Kdamond.Validate] finds,
// and what the kernel takes and does not do, or does without being told. Findings are
// ordered by place.
func Lint(kdamonds []Kdamond) []Finding {
	l := &linter{found: []Finding{}}
	for n := range kdamonds {
		l.invalid(kdamonds[n].Validate(n))
		for i := range kdamonds[n].Contexts {
			l.context(&kdamonds[n].Contexts[i], fmt.Sprintf("%d/contexts/%d", n, i))
		}
	}
	slices.SortStableFunc(l.found, func(a, b Finding) int { return cmp.Compare(a.File, b.File) })
	return l.found
}

type linter struct{ found []Finding }

func (l *linter) add(s Severity, kind, file, do, format string, args ...any) {
	l.found = append(l.found, Finding{s, kind, file, fmt.Sprintf(format, args...), do})
}

func (l *linter) invalid(err error) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return
	}
	for _, one := range joined.Unwrap() {
		var of *Invalid
		if errors.As(one, &of) {
			l.add(Failure, "invalid", of.File, "Write what the kernel takes.", "%s", of.Why)
		}
	}
}

// The kernel's intervals where none are written, in microseconds.
const (
	sampleDefault = 5000
	aggrDefault   = 100000
)

func (l *linter) context(c *Context, at string) {
	i := &c.Attrs.Intervals
	tuned := i.Goal != nil && i.Goal.Aggrs > 0
	if i.Sample == sampleDefault && i.Aggr == aggrDefault && !tuned {
		l.add(Note, "default-intervals", at+"/monitoring_attrs/intervals", "Set intervals_goal (access_bp 400, aggrs 3), or longer intervals.",
			"the kernel's default intervals, 5 and 100 ms, are too short for most workloads")
	}
	if c.Operations != PAddr && len(c.Targets) == 0 {
		l.add(Warning, "no-target", at+"/targets/nr_targets", "Name a process.", "%s watches nothing without a target", c.Operations)
	}
	for n := range c.Schemes {
		s := &c.Schemes[n]
		file := fmt.Sprintf("%s/schemes/%d", at, n)
		l.action(c, s, file)
		l.pattern(i, tuned, s, file+"/access_pattern")
		l.quotas(s, file+"/quotas")
		l.addresses(c, s, file)
		l.filters(c.Operations, s, file)
	}
}

func (l *linter) action(c *Context, s *Scheme, at string) {
	if does, known := c.Operations.Does(s.Action); known && !does {
		l.add(Failure, "action-ignored", at+"/action", "Choose an action of these operations.",
			"%s does not do %s: the scheme has no effect", c.Operations, s.Action)
	}
	switch {
	case s.Action.Migrates() && len(s.Dests) == 0 && s.TargetNID != nil && *s.TargetNID < 0:
		l.add(Failure, "nowhere", at+"/target_nid", "Name a node, or destinations.", "%s without a node migrates nothing", s.Action)
	case !s.Action.Migrates() && len(s.Dests) > 0:
		l.add(Warning, "dests-ignored", at+"/dests", "Remove them.", "destinations are for migrate_hot and migrate_cold, not for %s", s.Action)
	}
	if w := &s.Watermarks; w.Metric == NoWatermark && w.High|w.Mid|w.Low > 0 {
		l.add(Warning, "watermarks-ignored", at+"/watermarks/metric", "Write free_mem_rate, or zeros.",
			"the watermarks are not looked at: the metric is none")
	}
}

// pageLeast is the smallest page of any architecture, in bytes.
const pageLeast = 4096

// addresses: the kernel takes the ends of filters down to whole pages.
func (l *linter) addresses(c *Context, s *Scheme, at string) {
	grain := max(pageLeast/max(value(c.AddrUnit), 1), 1)
	for _, p := range s.Order(c.Operations) {
		if p.Type == FilterAddr && (value(p.AddrStart)%grain > 0 || value(p.AddrEnd)%grain > 0) {
			l.add(Warning, "unaligned", at+"/"+p.File, "Align both ends to pages.",
				"%s: the kernel takes both ends down to whole pages", p.String())
		}
	}
}

func (l *linter) pattern(i *Intervals, tuned bool, s *Scheme, at string) {
	for _, r := range []struct {
		name string
		of   Range
	}{{"sz", s.Pattern.Size}, {"nr_accesses", s.Pattern.Accesses}, {"age", s.Pattern.Age}} {
		if r.of.Min > r.of.Max {
			l.add(Failure, "never", at+"/"+r.name, "Swap the ends.", "%d to %d: no region is like that", r.of.Min, r.of.Max)
		}
	}
	if i.Sample == 0 || tuned {
		return // how many samples there are is not known
	}
	if most := i.Aggr / i.Sample; s.Pattern.Accesses.Min > most {
		l.add(Failure, "never", at+"/nr_accesses/min", "Mind that it counts samples of one aggregation interval.",
			"%d: an aggregation interval has %d samples", s.Pattern.Accesses.Min, most)
	}
}

func (l *linter) quotas(s *Scheme, at string) {
	q := &s.Quotas
	limited := q.MS > 0 || q.Bytes > 0
	switch {
	case len(q.Goals) > 0 && q.ResetMS == 0:
		l.add(Failure, "goal-without-reset", at+"/reset_interval_ms", "Set it, such as to 1000.", "goals have no effect while it is 0")
	case !limited && len(q.Goals) == 0 && s.Action != Stat:
		l.add(Note, "no-quota", at, "Set ms or bytes, and reset_interval_ms.",
			"nothing limits how much time and memory %s takes at once", s.Action)
	}
	if limited && q.Weights == (Weights{}) && s.Action != Stat {
		l.add(Note, "no-weights", at+"/weights", "Set the weight of age or nr_accesses.",
			"all weights are 0: where the quota does not reach, chance decides what is first")
	}
	for i, g := range q.Goals {
		if g.Target == 0 {
			l.add(Warning, "goal-without-target", fmt.Sprintf("%s/goals/%d/target_value", at, i), "Set it.", "a goal of 0 is none")
		}
	}
}
