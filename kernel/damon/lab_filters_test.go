package damon

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/hog"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/vma"
	"github.com/safevma/safevma/lab"
)

// Each type of filter, alone, lets pass what the workload has of it, and its opposite the rest.
// What that is, is summed up without [Scheme.Explain].
func TestLabFilterTypes(t *testing.T) {
	lab.Inside(t)
	c := labControl(t, PAddr)
	tr := counting
	if !has(t, c, "ops_filters") {
		tr = deactivating
	}
	p := populate(t, tr.action == Stat)
	k := p.know(t, PAddr)
	kinds := kindsOfFilter(&k, p.paths[0])
	want := watching(PAddr, k.targets)
	want[0].Contexts[0].Attrs.Intervals = Intervals{Sample: 100_000, Aggr: 1_000_000, Update: 3_600_000_000}
	schemes := &want[0].Contexts[0].Schemes
	*schemes = append(*schemes, NewScheme(tr.action))
	var expected []amounts
	for _, one := range kinds {
		if tr.action != Stat && !one.old {
			continue
		}
		part := k.sum(one.is)
		for _, matching := range []bool{true, false} {
			if tr.action != Stat && one.filter.Type.Core() && !matching {
				continue // rejects all there: see Order
			}
			s, rejected := rejecting(tr.action, one.filter, matching), part
			if !matching {
				rejected = k.total() - part
			}
			a := amounts{tried: k.total(), passed: k.total() - rejected}
			if one.filter.Type.Core() {
				a.tried = a.passed
			}
			if !tr.counts(&s) {
				a.passed = 0
			}
			*schemes, expected = append(*schemes, s), append(expected, a)
		}
	}
	got := count(t, c, want)
	k.unchanged(t, PAddr, p)
	passes := got[0].SizeTried / k.total()
	if passes == 0 || got[0].SizeTried%k.total() != 0 {
		t.Fatalf("of %d bytes %d were tried", k.total(), got[0].SizeTried)
	}
	for i, a := range expected {
		f := (*schemes)[i+1].Order(PAddr)[0]
		if s := got[i+1]; s.SizeTried != passes*a.tried || tr.passed(&s) != passes*a.passed {
			t.Errorf("%s: in %d passes %d bytes were tried and %d passed, want %d and %d in each", f.String(), passes, s.SizeTried, tr.passed(&s), a.tried, a.passed)
		}
		t.Logf("%s: of %d bytes %d are tried, %d pass", f.String(), k.total(), a.tried, a.passed)
	}
	if tr.action == Stat {
		regionsSay(t, c, expected)
	}
}

// regionsSay compares the tried regions of the last pass with what was expected of each scheme
// but the first.
func regionsSay(t *testing.T, c *Control, expected []amounts) {
	t.Helper()
	for i, s := range update(t, c, UpdateRegions)[1:] {
		var got amounts
		for _, r := range s.Tried.Regions {
			got.tried += r.End - r.Start
			got.passed += value(r.Passed)
		}
		if got != expected[i] || value(s.Tried.Total) != got.tried {
			t.Errorf("%s: the regions say %+v, of %d bytes in all, want %+v", sentences(s.Order(PAddr)), got, value(s.Tried.Total), expected[i])
		}
	}
}

// filterKind is a filter, and what of the workload it is for.
type filterKind struct {
	filter Filter
	old    bool // there already before 6.15
	is     func(*folio) bool
}

func kindsOfFilter(k *memory, group string) []filterKind {
	cuts := k.cuts()
	from := cuts[len(cuts)/2]
	return []filterKind{
		{filter(FilterAnon, true, false), true, func(f *folio) bool { return *f.page.Anon }},
		{memcg(group, true, false), true, func(f *folio) bool { return *f.page.Memcg == group }},
		{addr(from, 1<<62, true, false), true, func(f *folio) bool { return f.start >= from }},
		{target(0, true, false), true, func(*folio) bool { return true }},
		{filter(FilterActive, true, false), false, func(f *folio) bool { return *f.page.Active }},
		{filter(FilterUnmapped, true, false), false, func(f *folio) bool { return *f.page.Unmapped }},
		{hugepage(2<<20, 2<<20, true, false), false, func(f *folio) bool { return f.end-f.start == 2<<20 }},
	}
}

// rejecting is a scheme with one filter, which rejects.
func rejecting(action Action, f Filter, matching bool) Scheme {
	s := NewScheme(action)
	f.Matching = matching
	switch {
	case action != Stat:
		f.Allow = nil
		s.Filters = []Filter{f}
	case f.Type.Core():
		s.CoreFilters, s.OpsFilters, s.Filters = []Filter{f}, []Filter{}, []Filter{}
	default:
		s.CoreFilters, s.OpsFilters, s.Filters = []Filter{}, []Filter{f}, []Filter{}
	}
	return s
}

// sum is how many bytes are of a kind.
func (k *memory) sum(is func(*folio) bool) (n uint64) {
	for _, list := range k.folios {
		for _, f := range list {
			if is(&f) {
				n += f.end - f.start
			}
		}
	}
	return n
}

// A filter of type young lets pass what a process uses, and no more; the control is its
// opposite. It looks at the accessed bit, and takes it away.
func TestLabYoung(t *testing.T) {
	lab.Inside(t)
	if testing.Short() {
		t.Skip("it takes a machine that has time")
	}
	c := labControl(t, PAddr)
	if !has(t, c, "ops_filters") {
		t.Skip("before Linux 6.15 nothing counts what a filter lets pass without doing something to it")
	}
	still(t)
	victim := hog.Maps(t, hog.Mapping{Bytes: victimBytes})
	if err := victim.Begin(); err != nil {
		t.Fatal(err)
	}
	hot, cold := parts(t, victim, PAddr, 0, hotBytes)
	young := func(allow bool) Scheme {
		s := NewScheme(Stat)
		s.CoreFilters, s.OpsFilters = []Filter{}, []Filter{filter(FilterYoung, true, allow)}
		return s
	}
	for _, allow := range []bool{true, false} {
		want := float64(size(hot)) / float64(size(hot)+size(cold))
		if !allow {
			want = 1 - want
		}
		// Of an emulator that others keep from running, a victim does not come round in time: what it
		// would have touched is not young. A filter that is wrong is so each time.
		near := false
		for tries := 0; tries < 3 && !near; tries++ {
			if err := victim.Keep(0, 0, hotBytes); err != nil {
				t.Fatal(err)
			}
			passed := passing(t, c, watching(PAddr, []Target{{Regions: inOrder(hot, cold)}}, young(allow)), 5*uint64(len(hot)+len(cold)))
			off := passed - want
			near = max(off, -off) <= min(want, 1-want)/4
			t.Logf("allow %v: %.0f%% pass, of %.0f%%", allow, 100*passed, 100*want)
		}
		if !near {
			t.Errorf("allow %v: want %.2f", allow, want)
		}
	}
}

// passing starts what has one scheme, and returns what part of what the scheme tries passes its filters,
// once it has tried so many regions more.
func passing(t *testing.T, c *Control, plan []Kdamond, regions uint64) float64 {
	t.Helper()
	started, err := c.Start(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	update(t, c, UpdateStats) // what was young before it began
	before := started.Kdamonds[0].Contexts[0].Schemes[0].Stats
	for deadline := time.Now().Add(labPatience); before.SizeTried == 0 && time.Now().Before(deadline); {
		before = update(t, c, UpdateStats)[0].Stats
	}
	after := before
	for deadline := time.Now().Add(labPatience); after.Tried < before.Tried+regions && time.Now().Before(deadline); {
		after = update(t, c, UpdateStats)[0].Stats
	}
	if _, err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	return float64(value(after.SizePassed)-value(before.SizePassed)) / float64(after.SizeTried-before.SizeTried)
}

func size(regions []AddrRegion) (n uint64) {
	for _, r := range regions {
		n += r.End - r.Start
	}
	return n
}

// What a scheme pages out is gone from memory, and what its filters reject is not: of two files
// the one that is not mapped, or the one that is.
func TestLabPageOut(t *testing.T) {
	lab.Inside(t)
	if !has(t, labControl(t, PAddr), "ops_filters") {
		t.Skip("this kernel has no filter for unmapped pages")
	}
	for _, allow := range []bool{true, false} {
		t.Run(map[bool]string{true: "unmapped", false: "mapped"}[allow], func(t *testing.T) { pageOut(t, labControl(t, PAddr), allow) })
	}
}

func pageOut(t *testing.T, c *Control, allow bool) {
	t.Helper()
	p := populate(t, false)
	k := p.know(t, PAddr)
	s := NewScheme(PageOut)
	s.CoreFilters, s.OpsFilters = []Filter{}, []Filter{filter(FilterAnon, true, false), filter(FilterUnmapped, true, allow)}
	passes := func(f *folio) bool { return !*f.page.Anon && *f.page.Unmapped == allow }
	goes := k.sum(passes)
	if goes < kindBytes/2 || k.sum(func(f *folio) bool { return !*f.page.Anon && *f.page.Unmapped != allow }) < kindBytes/2 {
		t.Fatalf("too little of it is in long runs: %v", kinds(k.folios[0]))
	}
	if _, err := c.Start(t.Context(), watching(PAddr, k.targets, s)); err != nil {
		t.Fatal(err)
	}
	var stats Stats
	for deadline := time.Now().Add(labPatience); stats.SizeApplied < goes && time.Now().Before(deadline); {
		stats = update(t, c, UpdateStats)[0].Stats
	}
	left, stay := p.left(t, &k, passes)
	mapped, unmapped := resident(t, p.files[0]), resident(t, p.files[1])
	t.Logf("%d bytes of %d that pass were paged out, %d are left; of the others %d of %d; of two files of %d pages %d mapped and %d unmapped are left",
		stats.SizeApplied, goes, left, stay, k.total()-goes, kindBytes/vma.PageSize, mapped, unmapped)
	if stats.SizeApplied != goes || left > 0 || stay != k.total()-goes {
		t.Errorf("%+v", stats)
	}
	gone, stays := mapped, unmapped
	if allow {
		gone, stays = unmapped, mapped
	}
	if all := kindBytes / vma.PageSize; gone >= all || stays < all {
		t.Error("the wrong file, or none, has gone from memory")
	}
}

// left is how much there still is of the memory that passes, and of the other.
func (p *population) left(t *testing.T, k *memory, passes func(*folio) bool) (left, stay uint64) {
	t.Helper()
	now := map[uint64]string{}
	for _, f := range readFrames(t).folios(p.groups) {
		now[f.start] = f.page.String()
	}
	return k.sum(func(f *folio) bool { return passes(f) && now[f.start] == f.page.String() }),
		k.sum(func(f *folio) bool { return !passes(f) && now[f.start] == f.page.String() })
}

// resident is how many pages of a file are in memory.
func resident(t *testing.T, name string) (n uint64) {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	b, err := sys.Mmap(kindBytes, sys.ProtRead, sys.MapShared, int(file.Fd()), 0)
	if err != nil {
		t.Fatal(err)
	}
	in := make([]byte, kindBytes/os.Getpagesize())
	if err := errors.Join(sys.Mincore(b, in), sys.Munmap(b)); err != nil {
		t.Fatal(err)
	}
	for _, one := range in {
		n += uint64(one & 1)
	}
	return n
}
