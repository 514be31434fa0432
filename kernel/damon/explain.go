package damon

import (
	"fmt"
	"slices"
)

// Verdict is what a scheme does with a page.
type Verdict string

// The verdicts.
const (
	Applied  Verdict = "applied"  // the filters let the action be tried on it
	Rejected Verdict = "rejected" // a filter, or the lack of one, keeps it out
	Outside  Verdict = "outside"  // its region is not of the access pattern
	Open     Verdict = "open"     // depends on what is not known of it
)

// Layer is where a filter stands.
type Layer string

// The layers, in the order in which they are asked.
const (
	CoreLayer Layer = "core"
	OpsLayer  Layer = "ops"
)

// Placed is a filter with its place.
type Placed struct {
	Filter
	Layer Layer
	// File is its directory, such as "ops_filters/0". The kernel's own has none.
	File string
}

// implicit is what a scheme of action pageout on physical memory asks last, where no filter
// looks at the accessed bit: memory that was used meanwhile stays.
func implicit() Placed {
	allow := false
	return Placed{Filter{Type: FilterYoung, Matching: true, Allow: &allow}, OpsLayer, ""}
}

// Order returns the filters as the kernel asks them: those of the core, then those of the
// operations; in each the older directory comes last. Filters of the operations that these
// operations do not look at are left out.
//
// Kernels before 6.15 keep both in one list: on physical memory they ask those of the core
// again for each page, which those never cover. So one for what does not match decides there about every page
// that comes so far (seen on 6.12).
func (s *Scheme) Order(by Operations) []Placed {
	var core, ops []Placed
	for _, dir := range []struct {
		name string
		list []Filter
	}{{"core_filters", s.CoreFilters}, {"ops_filters", s.OpsFilters}, {"filters", s.Filters}} {
		for i, f := range dir.list {
			file := fmt.Sprintf("%s/%d", dir.name, i)
			if f.Type.Core() {
				core = append(core, Placed{f, CoreLayer, file})
			} else {
				ops = append(ops, Placed{f, OpsLayer, file})
			}
		}
	}
	if by == PAddr && s.old() {
		ops = again(s.Filters, core, ops)
	}
	if !by.filters(s.Action) {
		ops = nil
	}
	if by == PAddr && s.Action == PageOut && !slices.ContainsFunc(ops, func(p Placed) bool { return p.Type == FilterYoung }) {
		ops = append(ops, implicit())
	}
	return append(core, ops...)
}

// old reports whether it is of a kernel before 6.15: those have none of the newer directories.
func (s *Scheme) old() bool { return s.CoreFilters == nil && s.OpsFilters == nil }

// again returns the filters of one list that decide about pages, in its order.
func again(list []Filter, core, ops []Placed) []Placed {
	var both []Placed
	for _, f := range list {
		from := &ops
		if f.Type.Core() {
			from = &core
		}
		p := (*from)[0]
		*from = (*from)[1:]
		if p.Layer = OpsLayer; !f.Type.Core() || !f.Matching {
			both = append(both, p)
		}
	}
	return both
}

// matches says whether it matches a page, where it stands.
func (p *Placed) matches(page *Page) answer {
	if p.Layer == OpsLayer && p.Type.Core() {
		return answerOf(!p.Matching)
	}
	return p.Filter.matches(page)
}

// hasOps reports whether there are filters of the operations, looked at or not.
func (s *Scheme) hasOps() bool {
	return len(s.OpsFilters) > 0 || slices.ContainsFunc(s.Filters, func(f Filter) bool { return !f.Type.Core() })
}

// defaultAllows says what becomes of memory that no filter of a layer matches: the opposite
// of what the last one does. Where there are filters of the operations, the core lets it
// pass. The kernel's own filter does not count. Kernels before 6.15, which have none of the
// newer directories, let pass whatever no filter matches.
func (s *Scheme) defaultAllows(order []Placed, layer Layer) bool {
	if layer == CoreLayer && s.hasOps() || s.old() {
		return true
	}
	allows := true
	for _, p := range order {
		if p.Layer == layer && p.File != "" {
			allows = !p.Allows()
		}
	}
	return allows
}

// Step is one filter that was asked.
type Step struct {
	Filter Placed
	// Matches is nil where that is not known of the page.
	Matches *bool
}

// Explanation says what a scheme does with a page, and why.
type Explanation struct {
	Verdict Verdict
	// By is the filter that decides; nil where none does.
	By  *Placed
	Why string
	// Needs are the words that the page lacks: see [ParsePage].
	Needs []string
	Steps []Step
}

// Explain evaluates the access pattern and the filters of a scheme for a page, as the kernel
// does: the first filter that matches decides; a filter of the core that allows leaves those
// of the operations unasked. What the page does not say is left open, unless all that it
// could be ends the same.
//
// The ends of addresses in filters are taken as they are; the kernel takes them down to whole
// pages. It does not look at quotas and watermarks, nor at whether the action then succeeds. A page
// that is on none of the kernel's lists of pages is left alone whatever the filters say.
func (s *Scheme) Explain(by Operations, p Page) Explanation {
	var e Explanation
	if outside, why := s.outside(&p); outside {
		return Explanation{Verdict: Outside, Why: why}
	}
	w := walk{order: s.Order(by), scheme: s, e: &e}
	w.layers(p)
	e.conclude(w.ends)
	return e
}

// outside compares what is known of the region.
func (s *Scheme) outside(p *Page) (bool, string) {
	for _, c := range []struct {
		name string
		has  *uint64
		want Range
	}{{"size of the region", p.RegionSize, s.Pattern.Size}, {"nr_accesses", p.Accesses, s.Pattern.Accesses}, {"age", p.Age, s.Pattern.Age}} {
		if c.has != nil && !c.want.Has(*c.has) {
			return true, fmt.Sprintf("%s %d is not within %d to %d", c.name, *c.has, c.want.Min, c.want.Max)
		}
	}
	return false, ""
}

// end is one way in which the evaluation may end.
type end struct {
	applied bool
	by      *Placed
	why     string
}

type walk struct {
	order  []Placed
	scheme *Scheme
	e      *Explanation
	ends   []end
}

// layers asks the filters in order.
func (w *walk) layers(p Page) {
	for i := range w.order {
		f := &w.order[i]
		if f.Layer == OpsLayer && (i == 0 || w.order[i-1].Layer == CoreLayer) && !w.passes(CoreLayer) {
			return
		}
		matches := f.matches(&p)
		w.step(f, matches)
		if matches != no {
			w.ends = append(w.ends, end{f.Allows(), f, w.decides(f)})
		}
		if matches == yes {
			return
		}
		if matches == unknown {
			p = f.learn(p)
		}
	}
	layer := CoreLayer
	if n := len(w.order); n > 0 {
		layer = w.order[n-1].Layer
	}
	if w.passes(layer) {
		w.ends = append(w.ends, end{true, nil, w.unmatched(layer)})
	}
}

// passes reports whether a layer lets unmatched memory pass, and ends where it does not.
func (w *walk) passes(layer Layer) bool {
	if w.scheme.defaultAllows(w.order, layer) {
		return true
	}
	w.ends = append(w.ends, end{false, nil, w.unmatched(layer)})
	return false
}

// unmatched says why memory that no filter of a layer matches ends as it does.
func (w *walk) unmatched(layer Layer) string {
	last := lastOf(w.order, layer)
	switch {
	case last == nil:
		return "no filter matches"
	case layer == CoreLayer && w.scheme.hasOps():
		return "no filter of the core matches, and there are filters of the operations"
	case w.scheme.old():
		return "no filter matches, and kernels before 6.15 let such memory pass"
	}
	return fmt.Sprintf("no filter matches, and the last one, %s, is to %s", last.File, last.String())
}

func (w *walk) decides(f *Placed) string {
	if f.File == "" {
		return "by the kernel's own last look: used since, and no filter looks at that"
	}
	why := fmt.Sprintf("by %s: %s", f.File, f.String())
	if f.Layer == OpsLayer && f.Type.Core() {
		why += "; kernels before 6.15 ask it again for each page, as if that were outside of all ranges and targets"
	}
	if f.Allows() && f.Layer == CoreLayer {
		why += "; filters of the operations are not asked"
	}
	return why
}

func (w *walk) step(f *Placed, matches answer) {
	step := Step{Filter: *f}
	if matches == unknown {
		w.e.Needs = append(w.e.Needs, f.needs())
	} else {
		is := matches == yes
		step.Matches = &is
	}
	w.e.Steps = append(w.e.Steps, step)
}

// conclude makes one verdict of the ends.
func (e *Explanation) conclude(ends []end) {
	last := ends[len(ends)-1]
	e.Verdict, e.By, e.Why = Rejected, last.by, last.why
	if last.applied {
		e.Verdict = Applied
	}
	for _, other := range ends[:len(ends)-1] {
		if other.applied != last.applied {
			e.Verdict, e.By, e.Why = Open, nil, "depends on what is not known"
			slices.Sort(e.Needs)
			e.Needs = slices.Compact(e.Needs)
			return
		}
		e.By, e.Why = nil, last.why+"; or by a filter before that"
	}
	e.Needs = nil
}
