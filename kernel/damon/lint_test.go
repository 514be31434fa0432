package damon

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// quiet is a context in which nothing is to be found.
func quiet(by Operations, action Action, core, ops []Filter) Context {
	s := scheme(action, core, ops)
	s.Pattern = Pattern{Size: Range{0, 1 << 40}, Accesses: Range{0, 0}, Age: Range{1, 9}}
	s.Quotas = Quotas{MS: 10, ResetMS: 1000, Weights: Weights{Age: 1}}
	s.Watermarks.Metric = NoWatermark
	c := Context{Operations: by, Targets: []Target{{PID: 1}, {PID: 2}}, Schemes: []Scheme{*s}}
	if by == PAddr {
		c.Targets = c.Targets[:1]
	}
	c.Attrs = Attributes{Intervals{Sample: 100000, Aggr: 2000000, Update: 1000000, Goal: &IntervalsGoal{}}, Range{10, 1000}}
	return c
}

// found lists findings as "kind file", the file below the scheme or the context.
func found(c Context) []string {
	list := []string{}
	for _, f := range Lint([]Kdamond{{State: On, Contexts: []Context{c}}}) {
		file := strings.TrimPrefix(strings.TrimPrefix(f.File, "0/contexts/0"), "/schemes/0")
		list = append(list, f.Kind+" "+strings.TrimPrefix(file, "/"))
	}
	return list
}

func TestLint(t *testing.T) {
	const y, n = true, false
	anon, file := filter(FilterAnon, y, n), filter(FilterAnon, n, n)
	metric := UserInput
	for _, c := range []struct {
		name   string
		in     Context
		change func(*Context, *Scheme)
		want   []string
	}{
		{"nothing", quiet(PAddr, PageOut, nil, []Filter{anon}), nil, nil},
		{"last allows", quiet(PAddr, PageOut, nil, []Filter{anon, filter(FilterUnmapped, y, y)}), nil, []string{"default-reject ops_filters/1"}},
		{"dead behind a pair", quiet(PAddr, Stat, nil, []Filter{anon, filter(FilterAnon, n, y), filter(FilterActive, y, n)}), nil,
			[]string{"dead-filter ops_filters/2"}},
		{"dead behind its like", quiet(PAddr, Stat, nil, []Filter{memcg("/a", y, n), memcg("/a/", y, y), anon}), nil, []string{"dead-filter ops_filters/1"}},
		{"size within a size", quiet(PAddr, Stat, nil, []Filter{hugepage(4096, 1<<21, y, n), hugepage(8192, 16384, y, n)}), nil,
			[]string{"dead-filter ops_filters/1"}},
		{"behind sizes up to one", quiet(PAddr, Stat, nil, []Filter{hugepage(0, 8192, y, n), filter(FilterActive, y, n)}), nil, nil},
		{"addresses in two parts", quiet(PAddr, Stat, []Filter{addr(0, 4096, y, n), addr(4096, 8192, y, n), addr(0, 8192, y, n)}, nil), nil,
			[]string{"dead-filter core_filters/2"}},
		{"addresses beyond", quiet(PAddr, Stat, []Filter{addr(0, 4096, y, n), addr(0, 8192, y, n)}, nil), nil, nil},
		{"unaligned", quiet(PAddr, Stat, []Filter{addr(0, 4095, y, n)}, nil), nil, []string{"unaligned core_filters/0"}},
		{"units", quiet(PAddr, Stat, []Filter{addr(0, 1, y, n)}, nil), func(c *Context, _ *Scheme) { unit := uint64(4096); c.AddrUnit = &unit }, nil},
		{"all rejected", quiet(PAddr, Stat, nil, []Filter{anon, file}), nil, []string{"all-rejected "}},
		{"behind a core that decides", quiet(PAddr, Stat, []Filter{target(0, y, n), target(0, n, y)}, []Filter{anon}), nil,
			[]string{"core-allows core_filters/1", "core-default core_filters/1", "dead-filter ops_filters/0"}},
		{"core allows past the last look", quiet(PAddr, PageOut, []Filter{addr(0, 4096, y, y)}, nil), nil,
			[]string{"core-allows core_filters/0", "default-reject core_filters/0"}},
		{"ignored", quiet(VAddr, Cold, nil, []Filter{anon}), nil, []string{"ignored-filters ops_filters"}},
		{"not ignored", quiet(VAddr, MigrateCold, nil, []Filter{anon}), nil, nil},
		{"young", quiet(PAddr, PageOut, nil, []Filter{filter(FilterYoung, y, n)}), nil, []string{"side-effect ops_filters/0"}},
		{"older directory", quiet(PAddr, PageOut, nil, nil), func(_ *Context, s *Scheme) { s.Filters = []Filter{anon} }, []string{"old-directory filters"}},
		{"a range of an older kernel", quiet(PAddr, PageOut, nil, nil), func(_ *Context, s *Scheme) {
			s.CoreFilters, s.OpsFilters = nil, nil
			s.Filters = []Filter{{Type: FilterAddr, AddrStart: new(uint64(0)), AddrEnd: new(uint64(1 << 30))}}
		}, []string{"all-rejected "}},
		{"unknown type", quiet(PAddr, PageOut, nil, []Filter{filter("new", y, n)}), nil, []string{"invalid ops_filters/0/type"}},
		{"wrong directory", quiet(PAddr, Stat, []Filter{anon}, nil), nil, []string{"invalid core_filters/0/type"}},
		{"no action of these", quiet(PAddr, HugePage, nil, nil), nil, []string{"action-ignored action"}},
		{"goal", quiet(PAddr, PageOut, nil, nil), func(_ *Context, s *Scheme) {
			s.Quotas.ResetMS, s.Quotas.Goals = 0, []Goal{{Metric: &metric, Target: 1}, {}}
		}, []string{"goal-without-target quotas/goals/1/target_value", "goal-without-reset quotas/reset_interval_ms"}},
		{"no quota", quiet(PAddr, PageOut, nil, nil), func(_ *Context, s *Scheme) { s.Quotas = Quotas{} }, []string{"no-quota quotas"}},
		{"no quota for what only counts", quiet(PAddr, Stat, nil, nil), func(_ *Context, s *Scheme) { s.Quotas = Quotas{} }, nil},
		{"no weights", quiet(PAddr, PageOut, nil, nil), func(_ *Context, s *Scheme) { s.Quotas.Weights = Weights{} }, []string{"no-weights quotas/weights"}},
		{"nowhere", quiet(PAddr, MigrateHot, nil, nil), func(_ *Context, s *Scheme) { nid := -1; s.TargetNID = &nid }, []string{"nowhere target_nid"}},
		{"destinations", quiet(PAddr, PageOut, nil, nil), func(_ *Context, s *Scheme) { s.Dests = []Dest{{}} }, []string{"dests-ignored dests"}},
		{"watermarks", quiet(PAddr, PageOut, nil, nil), func(_ *Context, s *Scheme) { s.Watermarks.High = 5 }, []string{"watermarks-ignored watermarks/metric"}},
		{"never", quiet(PAddr, PageOut, nil, nil), func(_ *Context, s *Scheme) { s.Pattern.Accesses, s.Pattern.Age = Range{21, 30}, Range{2, 1} },
			[]string{"never access_pattern/age", "never access_pattern/nr_accesses/min"}},
		{"intervals", quiet(VAddr, Cold, nil, nil), func(c *Context, _ *Scheme) {
			c.Attrs.Intervals.Sample, c.Attrs.Intervals.Aggr, c.Targets = 5000, 100000, nil
		}, []string{"default-intervals monitoring_attrs/intervals", "no-target targets/nr_targets"}},
	} {
		if c.change != nil {
			c.change(&c.in, &c.in.Schemes[0])
		}
		if got := found(c.in); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// What the kernel would refuse, by what is changed in a tree that it takes.
func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Context, *Scheme)
		want   string
	}{
		"regions":    {func(c *Context, _ *Scheme) { c.Attrs.Regions.Min = 2 }, "nr_regions/min"},
		"regions 2":  {func(c *Context, _ *Scheme) { c.Attrs.Regions.Max = 9 }, "nr_regions/max"},
		"intervals":  {func(c *Context, _ *Scheme) { c.Attrs.Intervals.Aggr = 99 }, "intervals/aggr_us"},
		"goal":       {func(c *Context, _ *Scheme) { c.Attrs.Intervals.Goal = &IntervalsGoal{Aggrs: 1, MaxSample: 5} }, "intervals/sample_us"},
		"operations": {func(c *Context, _ *Scheme) { c.Available = []Operations{VAddr} }, "operations"},
		"overlap":    {func(c *Context, _ *Scheme) { c.Targets[0].Regions = []AddrRegion{{1, 5}, {4, 6}} }, "regions/1/start"},
		"backwards":  {func(c *Context, _ *Scheme) { c.Targets[0].Regions = []AddrRegion{{5, 1}} }, "regions/0/end"},
		"unit":       {func(c *Context, _ *Scheme) { zero := uint64(0); c.AddrUnit = &zero }, "addr_unit"},
		"action":     {func(_ *Context, s *Scheme) { s.Action = "burn" }, "action"},
		"32 bits":    {func(_ *Context, s *Scheme) { s.Pattern.Age.Max = 1 << 32 }, "access_pattern/age"},
		"watermarks": {func(_ *Context, s *Scheme) { s.Watermarks = Watermarks{FreeMemRate, 1, 1, 2, 0} }, "watermarks"},
		"no cgroup":  {func(_ *Context, s *Scheme) { s.OpsFilters = []Filter{memcg("", true, false)} }, "memcg_path"},
		"addresses":  {func(_ *Context, s *Scheme) { s.CoreFilters = []Filter{addr(2, 1, true, false)} }, "addr_end"},
		"sizes":      {func(_ *Context, s *Scheme) { s.OpsFilters = []Filter{hugepage(2, 1, true, false)} }, "0/max"},
		"physical":   {func(c *Context, _ *Scheme) { c.Targets = make([]Target, 2) }, "targets/nr_targets"},
		"no process": {func(c *Context, _ *Scheme) { c.Operations = VAddr; c.Targets = make([]Target, 2) }, "targets/1/pid_target"},
		"target":     {func(_ *Context, s *Scheme) { s.CoreFilters = []Filter{target(2, true, false)} }, "damon_target_idx"},
	} {
		in := quiet(PAddr, PageOut, nil, nil)
		in.Targets[0].Regions = []AddrRegion{{1, 5}, {5, 6}}
		k := Kdamond{State: On, Contexts: []Context{in}}
		if err := k.Validate(0); err != nil {
			t.Fatal(err)
		}
		c.change(&in, &in.Schemes[0])
		k.Contexts[0] = in
		err := k.Validate(0)
		if err == nil || !strings.Contains(err.Error(), c.want+": ") {
			t.Errorf("%s: %v, want one at %s", name, err, c.want)
		}
	}
	if err := (&Kdamond{State: "asleep", Contexts: make([]Context, 2)}).Validate(0); err == nil || !strings.Contains(err.Error(), "nr_contexts") ||
		!strings.Contains(err.Error(), "0/state") {
		t.Error(err)
	}
}

// A filter that is called dead can be taken away, unless it is the last of its layer (which
// says what the default is): no page ends otherwise. One that is not called so decides about
// some page.
func TestDeadFilters(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	dead := 0
	for range 400 {
		core, ops := randomFilters(r)
		s := scheme(Stat, core, ops)
		l := &linter{}
		pages, ok := representatives(s.Order(PAddr))
		if !ok {
			t.Fatal("too many kinds")
		}
		l.decided(PAddr, s, s.Order(PAddr), pages, "")
		for _, f := range l.found {
			i := slices.IndexFunc(s.Order(PAddr), func(p Placed) bool { return "/"+p.File == f.File })
			if f.Kind != "dead-filter" || i >= len(core) && i == len(core)+len(ops)-1 || i == len(core)-1 {
				continue
			}
			dead++
			less := scheme(Stat, core, ops)
			if i < len(core) {
				less.CoreFilters = slices.Delete(less.CoreFilters, i, i+1)
			} else {
				less.OpsFilters = slices.Delete(less.OpsFilters, i-len(core), i-len(core)+1)
			}
			for range 50 {
				p := whole(r)
				if a, b := s.Explain(PAddr, p), less.Explain(PAddr, p); a.Verdict != b.Verdict {
					t.Fatalf("%v without %s: %s, with it %s", p, f.File, b.Verdict, a.Verdict)
				}
			}
		}
	}
	if dead == 0 {
		t.Error("nothing was dead: this tried nothing")
	}
}
