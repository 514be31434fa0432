package damon

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func filter(kind FilterType, matching, allow bool) Filter {
	return Filter{Type: kind, Matching: matching, Allow: &allow}
}

func memcg(path string, matching, allow bool) Filter {
	f := filter(FilterMemcg, matching, allow)
	f.Memcg = path
	return f
}

func addr(start, end uint64, matching, allow bool) Filter {
	f := filter(FilterAddr, matching, allow)
	f.AddrStart, f.AddrEnd = &start, &end
	return f
}

func hugepage(least, most uint64, matching, allow bool) Filter {
	f := filter(FilterHugePage, matching, allow)
	f.Min, f.Max = &least, &most
	return f
}

func target(n int, matching, allow bool) Filter {
	f := filter(FilterTarget, matching, allow)
	f.Target = &n
	return f
}

func words618(t *testing.T, text string) Page {
	t.Helper()
	p, err := ParsePage(strings.Fields(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func scheme(action Action, core, ops []Filter) *Scheme {
	return &Scheme{Action: action, CoreFilters: append([]Filter{}, core...), OpsFilters: append([]Filter{}, ops...)}
}

// The cases follow Documentation/mm/damon/design.rst, "Filters", and what the code adds.
func TestExplain(t *testing.T) {
	const y, n = true, false
	live := scheme(PageOut, nil, []Filter{filter(FilterAnon, y, n), filter(FilterUnmapped, y, y)})
	coreAllow := scheme(PageOut, []Filter{addr(100, 200, y, y)}, []Filter{filter(FilterAnon, y, n)})
	old := &Scheme{Action: Stat, Filters: []Filter{filter(FilterAnon, y, y)}}
	inside := addr(100, 200, n, n)
	inside.Allow = nil
	oldRange := &Scheme{Action: PageOut, Filters: []Filter{{Type: FilterAnon, Matching: true}, inside}}
	for _, c := range []struct {
		name   string
		scheme *Scheme
		by     Operations
		page   string
		want   Verdict
		file   string // of the filter that decides; "-" the kernel's own, empty none
		needs  string
	}{
		{"no filter", scheme(Stat, nil, nil), PAddr, "", Applied, "", ""},
		{"anonymous is rejected first", live, PAddr, "anon unmapped", Rejected, "ops_filters/0", ""},
		{"unmapped file is allowed", live, PAddr, "file unmapped", Applied, "ops_filters/1", ""},
		{"mapped file is rejected by default", live, PAddr, "file mapped", Rejected, "", ""},
		{"and whatever of it is young", live, PAddr, "file mapped young", Rejected, "-", ""},
		{"what is not said is open", live, PAddr, "", Open, "", "anon|file unmapped|mapped young|old"},
		{"what matters alone is needed", live, PAddr, "file", Open, "", "unmapped|mapped young|old"},
		{"last is reject: the rest is allowed", scheme(Stat, nil, []Filter{filter(FilterAnon, y, n)}), PAddr, "file", Applied, "", ""},
		{"not matching", scheme(Stat, nil, []Filter{filter(FilterAnon, n, n)}), PAddr, "file", Rejected, "ops_filters/0", ""},
		{"own look of pageout", scheme(PageOut, nil, nil), PAddr, "young", Rejected, "-", ""},
		{"none where a filter looks at young", scheme(PageOut, nil, []Filter{filter(FilterYoung, y, y)}), PAddr, "young", Applied, "ops_filters/0", ""},
		{"none of virtual memory", scheme(PageOut, nil, nil), VAddr, "young", Applied, "", ""},
		{"core allows: operations are not asked", coreAllow, PAddr, "anon young address=150", Applied, "core_filters/0", ""},
		{"end of addresses is not in it", coreAllow, PAddr, "anon address=200", Rejected, "ops_filters/0", ""},
		{"core default is overridden by operations filters", coreAllow, PAddr, "file old address=200", Applied, "", ""},
		{"core default alone", scheme(Stat, []Filter{addr(100, 200, y, y)}, nil), PAddr, "address=99", Rejected, "", ""},
		{"core default with the kernel's own filter", scheme(PageOut, []Filter{addr(100, 200, y, y)}, nil), PAddr, "old address=99", Rejected, "", ""},
		{"operations filters ignored", scheme(Cold, nil, []Filter{filter(FilterAnon, y, n)}), VAddr, "anon", Applied, "", ""},
		{"and yet the core's default is gone", scheme(Cold, []Filter{target(0, y, y)}, []Filter{filter(FilterAnon, y, n)}), VAddr, "anon target=1", Applied, "", ""},
		{"looked at for migration", scheme(MigrateHot, nil, []Filter{filter(FilterAnon, y, n)}), VAddr, "anon", Rejected, "ops_filters/0", ""},
		{"looked at to count", scheme(Stat, nil, []Filter{filter(FilterAnon, y, n)}), VAddr, "anon", Rejected, "ops_filters/0", ""},
		{"either way", scheme(Stat, nil, []Filter{filter(FilterAnon, y, n), filter(FilterAnon, n, n)}), PAddr, "", Rejected, "", ""},
		{"size is closed", scheme(Stat, nil, []Filter{hugepage(4096, 8192, y, n)}), PAddr, "size=8K", Rejected, "ops_filters/0", ""},
		{"size above", scheme(Stat, nil, []Filter{hugepage(4096, 8192, y, n)}), PAddr, "size=8193", Applied, "", ""},
		{"cgroup", scheme(Stat, nil, []Filter{memcg("/a\n", y, n)}), PAddr, "memcg=/a", Rejected, "ops_filters/0", ""},
		{"other cgroup", scheme(Stat, nil, []Filter{memcg("/a", y, n)}), PAddr, "memcg=/a/b", Applied, "", ""},
		{"older kernels allow the rest", old, PAddr, "file", Applied, "", ""},
		{"older kernels ask filters of the core for each page again", oldRange, PAddr, "file address=150", Rejected, "filters/1", ""},
		{"after what stands before them", oldRange, PAddr, "anon address=150", Rejected, "filters/0", ""},
		{"not of virtual memory", oldRange, VAddr, "anon address=150", Applied, "", ""},
		{"outside", scheme(Stat, nil, nil), PAddr, "age=1", Outside, "", ""},
	} {
		e := c.scheme.Explain(c.by, words618(t, c.page))
		file := ""
		if e.By != nil {
			if file = e.By.File; file == "" {
				file = "-"
			}
		}
		if e.Verdict != c.want || file != c.file || strings.Join(e.Needs, " ") != c.needs || e.Why == "" {
			t.Errorf("%s: %s by %q needs %q (%s), want %s by %q needs %q", c.name, e.Verdict, file, e.Needs, e.Why, c.want, c.file, c.needs)
		}
	}
}

// kernel is the decision as mm/damon/core.c and paddr.c make it, for a page that is known.
func kernel(core, ops []Filter, pageout bool, p *Page) bool {
	coreReject := len(ops) == 0 && len(core) > 0 && core[len(core)-1].Allows()
	opsReject := len(ops) > 0 && ops[len(ops)-1].Allows()
	for _, f := range core {
		if (f.is(p) == yes) == f.Matching {
			return f.Allows() // and the operations do not ask
		}
	}
	if coreReject {
		return false
	}
	if pageout && !slices.ContainsFunc(ops, func(f Filter) bool { return f.Type == FilterYoung }) {
		ops = append(slices.Clone(ops), filter(FilterYoung, true, false))
	}
	for _, f := range ops {
		if (f.is(p) == yes) == f.Matching {
			return f.Allows()
		}
	}
	return !opsReject
}

// whole is a page of which all is known, by chance.
func whole(r *rand.Rand) Page {
	b := func() *bool { v := r.IntN(2) == 0; return &v }
	u := func(list ...uint64) *uint64 { return &list[r.IntN(len(list))] }
	group, at := []string{"/a", "/b"}[r.IntN(2)], r.IntN(2)
	return Page{Anon: b(), Active: b(), Young: b(), Unmapped: b(), Memcg: &group, Size: u(4096, 65536), Address: u(50, 150, 250), Target: &at}
}

func randomFilters(r *rand.Rand) (core, ops []Filter) {
	coin := func() bool { return r.IntN(2) == 0 }
	for range r.IntN(4) {
		core = append(core, []Filter{addr(100, 200, coin(), coin()), target(r.IntN(2), coin(), coin())}[r.IntN(2)])
	}
	for range r.IntN(5) {
		ops = append(ops, []Filter{filter(opsTypes[[]int{0, 1, 3, 5}[r.IntN(4)]], coin(), coin()), memcg("/a", coin(), coin()),
			hugepage(8192, 1<<20, coin(), coin())}[r.IntN(3)])
	}
	return core, ops
}

// Explanations agree with the kernel's way of deciding, whatever the filters; and what is
// said of a page that is not known whole holds for all that it could be.
func TestExplainAgrees(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	open := 0
	for range 6000 {
		core, ops := randomFilters(r)
		action := []Action{PageOut, Stat}[r.IntN(2)]
		s, p := scheme(action, core, ops), whole(r)
		s.Pattern = Pattern{}
		want := Rejected
		if kernel(core, ops, action == PageOut, &p) {
			want = Applied
		}
		if e := s.Explain(PAddr, p); e.Verdict != want {
			t.Fatalf("%+v of %v: %s (%s), want %s", p, s.Order(PAddr), e.Verdict, e.Why, want)
		}
		part := p
		for i := range words {
			if r.IntN(2) == 0 {
				*words[i].of(&part) = nil
			}
		}
		if r.IntN(2) == 0 {
			part.Memcg, part.Address = nil, nil
		}
		switch e := s.Explain(PAddr, part); {
		case e.Verdict == Open && len(e.Needs) > 0:
			open++
		case e.Verdict != want:
			t.Fatalf("%v of %v: %s (%s), although %v is %s", part, s.Order(PAddr), e.Verdict, e.Why, p, want)
		}
	}
	if open == 0 {
		t.Error("nothing was open: this tried nothing")
	}
}

func TestParsePage(t *testing.T) {
	for _, text := range []string{"what", "anon file", "old young", "memcg=a", "size=x", "size=1Z", "size=17179869184G", "target=-1", "age", "="} {
		if p, err := ParsePage(strings.Fields(text)); err == nil {
			t.Errorf("%q: %v", text, p)
		}
	}
	for text, want := range map[string]string{
		"":                            "any page",
		"file young memcg=/a size=2M": "file young memcg=/a size=2097152",
		"address=0x1000 target=1":     "target=1 address=4096",
		"age=12 anon anon region=4K":  "anon region=4096 age=12",
	} {
		if got := words618(t, text).String(); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// What a page says of itself makes the same page.
func FuzzParsePage(f *testing.F) {
	f.Add("file young memcg=/a size=2M address=0x10 target=1 age=3 region=4K accesses=2")
	f.Add("size=0x")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePage(strings.Split(text, " "))
		if err != nil || strings.Count(text, "memcg=") > 0 {
			return
		}
		if again, err := ParsePage(strings.Fields(strings.TrimPrefix(p.String(), "any page"))); err != nil || again.String() != p.String() {
			t.Errorf("%q: %v, then %v, %v", text, p, again, err)
		}
	})
}
