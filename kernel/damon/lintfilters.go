package damon

import (
	"fmt"
	"slices"
)

// filters says what of the filters has no effect, or a surprising one.
func (l *linter) filters(by Operations, s *Scheme, at string) {
	if s.hasOps() && !by.filters(s.Action) {
		l.ignored(by, s, at)
	}
	if len(s.Filters) > 0 && (s.CoreFilters != nil || s.OpsFilters != nil) {
		l.add(Note, "old-directory", at+"/filters", "Use core_filters and ops_filters.",
			"the directory is deprecated: its filters come behind those of the others, whatever one thinks of their order")
	}
	order := s.Order(by)
	l.young(order, at)
	l.passing(by, s, order, at)
	if pages, whole := representatives(order); whole {
		l.decided(by, s, order, pages, at)
	}
}

func (l *linter) ignored(by Operations, s *Scheme, at string) {
	what := fmt.Sprintf("%s does not look at them for %s", by, s.Action)
	if slices.ContainsFunc(s.CoreFilters, Filter.Allows) {
		what += "; and while they stand there, memory that no filter of the core matches is let pass"
	}
	l.add(Failure, "ignored-filters", at+"/ops_filters", "Remove them, or use paddr.", "%s", what)
}

func (l *linter) young(order []Placed, at string) {
	for _, p := range order {
		if p.Type == FilterYoung && p.File != "" {
			l.add(Note, "side-effect", at+"/"+p.File, "Nothing, if that is meant.",
				"the filter takes the accessed bit away from what is young: others who look at it see less")
		}
	}
}

// passing is about what the core lets pass, and about memory that no filter matches.
func (l *linter) passing(by Operations, s *Scheme, order []Placed, at string) {
	allow := slices.IndexFunc(order, func(p Placed) bool { return p.Layer == CoreLayer && p.Allows() })
	ops := slices.IndexFunc(order, func(p Placed) bool { return p.Layer == OpsLayer })
	switch {
	case allow >= 0 && ops >= 0 && order[ops].File == "":
		l.add(Warning, "core-allows", at+"/"+order[allow].File, "Reject in the core what is not meant, rather than allow.",
			"what it allows is paged out also if it was used meanwhile: the kernel's last look is a filter of the operations, which are not asked then")
	case allow >= 0 && ops >= 0:
		l.add(Warning, "core-allows", at+"/"+order[allow].File, "Reject in the core what is not meant, rather than allow.",
			"what it allows passes without a filter of the operations being asked")
	}
	last := lastOf(order, CoreLayer)
	if last != nil && last.Allows() && s.hasOps() && by.filters(s.Action) {
		l.add(Warning, "core-default", at+"/"+last.File, "Write it as one that rejects what does not match.",
			"memory that it does not match is not rejected, as there are filters of the operations: those decide")
	}
	if last != nil && s.hasOps() {
		last = nil
	}
	if by.filters(s.Action) && s.hasOps() {
		last = lastOf(order, OpsLayer)
	}
	if last != nil && last.Allows() && (s.CoreFilters != nil || s.OpsFilters != nil) {
		l.add(Note, "default-reject", at+"/"+last.File, "Nothing, if that is meant; or end with a filter that rejects.",
			"as the last filter is to %s, whatever no filter matches is rejected", last.String())
	}
}

// lastOf returns the last filter of a layer that somebody wrote; nil where there is none.
func lastOf(order []Placed, layer Layer) *Placed {
	var last *Placed
	for i := range order {
		if order[i].Layer == layer && order[i].File != "" {
			last = &order[i]
		}
	}
	return last
}

// decided tries all kinds of pages: a filter that decides about none is dead, and a scheme
// that rejects all does nothing.
func (l *linter) decided(by Operations, s *Scheme, order []Placed, pages []Page, at string) {
	live, applied := map[string]bool{}, false
	for _, p := range pages {
		e := s.Explain(by, p)
		applied = applied || e.Verdict == Applied
		if e.By != nil {
			live[e.By.File] = true
		}
	}
	for _, p := range order {
		if p.File != "" && !live[p.File] && p.Layer == layerOf(p.Type) {
			l.add(Failure, "dead-filter", at+"/"+p.File, "Remove it, or move it up.",
				"%s: it decides about no memory, as those before it decide about all that it matches", p.String())
		}
	}
	if !applied {
		l.add(Failure, "all-rejected", at, "Let the filters allow something.", "the filters reject all memory: the scheme does nothing")
	}
}

// layerOf is where a filter stands by its type; kernels before 6.15 ask some twice.
func layerOf(t FilterType) Layer {
	if t.Core() {
		return CoreLayer
	}
	return OpsLayer
}

// workMost bounds how many filters are asked about all kinds of pages together: below a
// second.
const workMost = 1 << 18

// representatives returns one page of each kind that these filters can tell apart. It is
// false where there are too many, or a filter is of a type that is not known.
func representatives(order []Placed) ([]Page, bool) {
	pages := []Page{{}}
	seen := map[FilterType]bool{}
	for _, p := range order {
		if seen[p.Type] {
			continue
		}
		seen[p.Type] = true
		kinds := kindsOf(p.Type, order)
		if len(kinds) == 0 || len(pages)*len(kinds)*len(order) > workMost {
			return nil, false
		}
		var more []Page
		for _, page := range pages {
			for _, set := range kinds {
				one := page
				set(&one)
				more = append(more, one)
			}
		}
		pages = more
	}
	return pages, true
}

// kindsOf returns what sets a page to each of the values that filters of a type can tell
// apart.
func kindsOf(t FilterType, order []Placed) []func(*Page) {
	if i := slices.Index([]FilterType{FilterAnon, FilterActive, FilterYoung, FilterUnmapped}, t); i >= 0 {
		return []func(*Page){boolean(i, true), boolean(i, false)}
	}
	var kinds []func(*Page)
	var points []uint64
	groups, targets := []string{"/ of no filter"}, []int{-1}
	for _, p := range order {
		switch {
		case p.Type != t:
		case t == FilterMemcg:
			groups = append(groups, cleanPath(p.Memcg))
		case t == FilterTarget:
			targets = append(targets, value(p.Target))
		case t == FilterAddr:
			points = append(points, 0, value(p.AddrStart), value(p.AddrEnd))
		case t == FilterHugePage:
			points = append(points, 0, value(p.Min), value(p.Max), value(p.Max)+1)
		}
	}
	switch t {
	case FilterMemcg:
		for _, path := range unique(groups) {
			kinds = append(kinds, func(p *Page) { p.Memcg = &path })
		}
	case FilterTarget:
		for _, n := range unique(targets) {
			kinds = append(kinds, func(p *Page) { p.Target = &n })
		}
	case FilterAddr:
		for _, n := range unique(points) {
			kinds = append(kinds, func(p *Page) { p.Address = &n })
		}
	case FilterHugePage:
		for _, n := range unique(points) {
			kinds = append(kinds, func(p *Page) { p.Size = &n })
		}
	}
	return kinds
}

func boolean(i int, is bool) func(*Page) {
	return func(p *Page) { *words[i].of(p) = &is }
}

func unique[T interface{ ~string | ~int | ~uint64 }](list []T) []T {
	slices.Sort(list)
	return slices.Compact(list)
}
