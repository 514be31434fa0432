package damon

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Invalid is one thing that the kernel would refuse, or not take as it is written.
type Invalid struct {
	File string // its place below the directory of the kdamonds
	Why  string
}

// Error implements error.
func (i *Invalid) Error() string { return i.File + ": " + i.Why }

// validator collects what is invalid.
type validator struct{ found []error }

func (v *validator) check(ok bool, file, format string, args ...any) {
	if !ok {
		v.found = append(v.found, &Invalid{file, fmt.Sprintf(format, args...)})
	}
}

// Validate says what the kernel would refuse (EINVAL), or change without a word, of what
// stands in kdamond n. All that it finds is joined; each is an [*Invalid]. Whether
// processes, nodes and cgroups exist is not looked at.
func (k *Kdamond) Validate(n int) error {
	v := &validator{}
	at := fmt.Sprint(n)
	v.check(k.State == On || k.State == Off, at+"/state", "%q is neither on nor off", k.State)
	v.check(len(k.Contexts) <= 1, at+"/contexts/nr_contexts", "%d contexts: the kernel takes one", len(k.Contexts))
	for i := range k.Contexts {
		v.context(&k.Contexts[i], fmt.Sprintf("%s/contexts/%d", at, i))
	}
	return errors.Join(v.found...)
}

// regionsLeast is the least number of regions that the kernel takes.
const regionsLeast = 3

func (v *validator) context(c *Context, at string) {
	_, known := c.Operations.Does(Stat)
	v.check(known, at+"/operations", "%q is not known", c.Operations)
	v.check(c.Available == nil || slices.Contains(c.Available, c.Operations), at+"/operations",
		"%s: this kernel has %v", c.Operations, c.Available)
	if c.AddrUnit != nil {
		v.check(*c.AddrUnit > 0, at+"/addr_unit", "no unit of addresses can be 0")
	}
	v.attributes(&c.Attrs, at+"/monitoring_attrs")
	v.check(c.Operations != PAddr || len(c.Targets) <= 1, at+"/targets/nr_targets", "%d: physical memory is one target", len(c.Targets))
	for i := range c.Targets {
		v.check(c.Operations == PAddr || c.Targets[i].PID > 0, fmt.Sprintf("%s/targets/%d/pid_target", at, i), "%d is no process", c.Targets[i].PID)
		v.regions(c.Targets[i].Regions, fmt.Sprintf("%s/targets/%d/regions", at, i))
	}
	for i := range c.Schemes {
		v.scheme(&c.Schemes[i], len(c.Targets), fmt.Sprintf("%s/schemes/%d", at, i))
	}
}

func (v *validator) attributes(a *Attributes, at string) {
	v.check(a.Regions.Min >= regionsLeast, at+"/nr_regions/min", "%d: want at least %d", a.Regions.Min, regionsLeast)
	v.check(a.Regions.Min <= a.Regions.Max, at+"/nr_regions/max", "%d is below the least number, %d", a.Regions.Max, a.Regions.Min)
	i := &a.Intervals
	v.check(i.Sample <= i.Aggr, at+"/intervals/aggr_us", "%d is shorter than one sample, %d", i.Aggr, i.Sample)
	if g := i.Goal; g != nil && g.Aggrs > 0 {
		v.check(g.MinSample <= g.MaxSample, at+"/intervals/intervals_goal/max_sample_us",
			"%d is below the least, %d", g.MaxSample, g.MinSample)
		v.check(Range{g.MinSample, g.MaxSample}.Has(i.Sample), at+"/intervals/sample_us", "%d is not within the goal's %d to %d", i.Sample,
			g.MinSample, g.MaxSample)
	}
}

func (v *validator) regions(list []AddrRegion, at string) {
	for i, r := range list {
		v.check(r.Start <= r.End, fmt.Sprintf("%s/%d/end", at, i), "%d is below the start, %d", r.End, r.Start)
		if i > 0 {
			v.check(list[i-1].End <= r.Start, fmt.Sprintf("%s/%d/start", at, i), "%d is in the region before, or below it", r.Start)
		}
	}
}

func (v *validator) scheme(s *Scheme, targets int, at string) {
	v.check(s.Action.known(), at+"/action", "%q is not known", s.Action)
	for name, r := range map[string]Range{"nr_accesses": s.Pattern.Accesses, "age": s.Pattern.Age} {
		v.check(max(r.Min, r.Max) <= math.MaxUint32, at+"/access_pattern/"+name, "%d to %d: the kernel keeps 32 bits", r.Min, r.Max)
	}
	w := &s.Watermarks
	v.check(w.Metric == NoWatermark || w.Metric == FreeMemRate, at+"/watermarks/metric", "%q is not known", w.Metric)
	if w.Metric != NoWatermark {
		v.check(w.High >= w.Mid && w.Mid >= w.Low, at+"/watermarks", "high %d, mid %d, low %d: want them falling", w.High, w.Mid, w.Low)
	}
	for i, g := range s.Quotas.Goals {
		v.check(g.Metric == nil || slices.Contains(goalMetrics, *g.Metric),
			fmt.Sprintf("%s/quotas/goals/%d/target_metric", at, i), "not known")
	}
	for dir, list := range map[string][]Filter{"core_filters": s.CoreFilters, "ops_filters": s.OpsFilters, "filters": s.Filters} {
		for i := range list {
			v.filter(&list[i], dir, targets, fmt.Sprintf("%s/%s/%d", at, dir, i))
		}
	}
	slices.SortStableFunc(v.found, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) }) // maps have no order
}

func (v *validator) filter(f *Filter, dir string, targets int, at string) {
	v.check(f.Type.known(), at+"/type", "%q is not known", f.Type)
	if f.Type.known() && dir != "filters" {
		v.check(f.Type.Core() == (dir == "core_filters"), at+"/type", "%s is not for %s", f.Type, dir)
	}
	switch f.Type {
	case FilterMemcg:
		v.check(f.Memcg != "", at+"/memcg_path", "no cgroup is named")
	case FilterAddr:
		v.check(value(f.AddrStart) <= value(f.AddrEnd), at+"/addr_end", "%d is below the start, %d", value(f.AddrEnd), value(f.AddrStart))
	case FilterHugePage:
		v.check(value(f.Min) <= value(f.Max), at+"/max", "%d is below the least, %d", value(f.Max), value(f.Min))
	case FilterTarget:
		v.check(value(f.Target) >= 0 && value(f.Target) < targets, at+"/damon_target_idx", "there is no target %d", value(f.Target))
	}
}

// value is 0 where there is no file.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
