package damon

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/safevma/safevma/kernel/vma"
	"github.com/safevma/safevma/lab"
)

// agreeSets is how many random sets of filters are tried at a time: each takes about a second of
// an emulated machine, for the interface that is read and written whole.
func agreeSets() int {
	if os.Getenv("SAFEVMA_NIGHTLY") != "" {
		return 300
	}
	if testing.Short() {
		return 10
	}
	return 40
}

// trial is what is tried with each set of filters, and how the kernel counts it.
type trial struct {
	action Action
	random func(r *rand.Rand, k *memory, groups []string) Scheme
	counts func(*Scheme) bool    // whether what passes is counted at all
	passed func(s *Stats) uint64 // bytes
}

// counting counts pages, and does nothing to them. Where there are no filters of the operations,
// it does not look at pages.
var counting = trial{Stat, randomScheme, (*Scheme).hasOps, func(s *Stats) uint64 { return value(s.SizePassed) }}

// deactivating counts what it did, for kernels that count nothing else (before 6.14): the pages
// are inactive anyway.
var deactivating = trial{LRUDeprio, randomRejects, func(*Scheme) bool { return true }, func(s *Stats) uint64 { return s.SizeApplied }}

// What Explain says of each page, summed up, is what a running kernel counts: with random
// filters on memory of which all is known from /proc/kpageflags and kpagecgroup.
func TestLabExplainAgrees(t *testing.T) {
	lab.Inside(t)
	newer := has(t, labControl(t, PAddr), "ops_filters")
	p := populate(t, newer)
	for _, by := range []Operations{PAddr, FVAddr, VAddr} {
		t.Run(string(by), func(t *testing.T) {
			c := labControl(t, by)
			switch {
			case newer:
				agree(t, c, by, p, counting)
			case by == PAddr:
				agree(t, c, by, p, deactivating)
			default:
				t.Skip("before Linux 6.17 these operations look at no pages")
			}
		})
	}
}

// has reports whether schemes have a file.
func has(t *testing.T, c *Control, file string) bool {
	t.Helper()
	in := watching(PAddr, []Target{}, NewScheme(Stat))
	in[0].State = Off
	if _, err := c.Start(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	ok, err := c.fs.exists(c.fs.path("kernel/mm/damon/admin/kdamonds/0/contexts/0/schemes/0", file))
	if _, stopErr := c.Stop(t.Context()); errors.Join(err, stopErr) != nil {
		t.Fatal(err, stopErr)
	}
	return ok
}

// memory is memory with all that is known of it, and how to watch it.
type memory struct {
	targets []Target
	folios  [][]folio // of each target
}

// know finds the memory of a population, as it is watched by these operations.
func (p *population) know(t *testing.T, by Operations) memory {
	t.Helper()
	f := readFrames(t)
	if by == PAddr {
		all := p.physical(t, f)
		regions := runs(all, 16<<10)
		return memory{[]Target{{Regions: regions}}, [][]folio{within(all, regions)}}
	}
	var k memory
	for i, v := range p.victims {
		one := f.virtual(t, p, i)
		k.targets = append(k.targets, Target{PID: v.PID, Regions: runs(one, 0)})
		k.folios = append(k.folios, one)
	}
	return k
}

// total is how many bytes are watched.
func (k *memory) total() (n uint64) {
	for _, list := range k.folios {
		for _, f := range list {
			n += f.end - f.start
		}
	}
	return n
}

// cuts are where regions begin behind a gap. A filter that cuts through a region has the kernel
// count too much: it takes the size of the region before it cuts, and then goes on with the rest.
func (k *memory) cuts() (cuts []uint64) {
	for _, target := range k.targets {
		for _, r := range target.Regions {
			cuts = append(cuts, r.Start)
		}
	}
	return cuts
}

func agree(t *testing.T, c *Control, by Operations, p *population, tr trial) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, uint64(by[0])))
	k := p.know(t, by)
	schemes := []Scheme{NewScheme(tr.action)} // the first is tried on all
	for range agreeSets() {
		schemes = append(schemes, tr.random(r, &k, p.paths))
	}
	want := watching(by, k.targets, schemes...)
	want[0].Contexts[0].Attrs.Intervals = Intervals{Sample: 100_000, Aggr: 1_000_000, Update: 3_600_000_000}
	got := count(t, c, want)
	k.unchanged(t, by, p)
	for _, list := range k.folios {
		t.Logf("%s: %v", by, kinds(list))
	}
	passes := got[0].SizeTried / k.total()
	if passes == 0 || got[0].SizeTried%k.total() != 0 {
		t.Fatalf("of %d bytes %d were tried: not so many whole times", k.total(), got[0].SizeTried)
	}
	disagree, some, part := 0, 0, 0
	for i, s := range schemes {
		want := expect(&s, by, &k, tr.counts(&s))
		if got[i].SizeTried != passes*want.tried || tr.passed(&got[i]) != passes*want.passed {
			disagree++
			t.Errorf("%v: in %d passes %d bytes were tried and %d passed; explain says %d and %d in each", sentences(s.Order(by)), passes, got[i].SizeTried, tr.passed(&got[i]), want.tried, want.passed)
		}
		if 0 < want.passed && want.passed < want.tried {
			some++
		}
		if 0 < want.tried && want.tried < k.total() {
			part++
		}
	}
	t.Logf("%s: %d sets of filters, %d disagree; %d bytes, %d passes; of %d a part passes, %d are tried on a part", by, len(schemes), disagree, k.total(), passes, some, part)
	if some < len(schemes)/5 || part < len(schemes)/20 {
		t.Error("the sets tell too little")
	}
}

func sentences(order []Placed) string {
	var all []string
	for _, p := range order {
		all = append(all, p.File+": "+p.String())
	}
	return strings.Join(all, "; ")
}

// amounts are bytes of one pass.
type amounts struct{ tried, passed uint64 }

// expect sums up what Explain says; counts is whether what passes is counted.
func expect(s *Scheme, by Operations, k *memory, counts bool) (sum amounts) {
	for n, list := range k.folios {
		for _, f := range list {
			page := f.page
			page.Address, page.Target = &f.start, &n
			e := s.Explain(by, page)
			if e.Verdict == Applied && counts {
				sum.passed += f.end - f.start
			}
			if e.Verdict == Applied || asksOps(e.Steps) {
				sum.tried += f.end - f.start
			}
		}
	}
	return sum
}

// asksOps: what filters of the operations reject was tried.
func asksOps(steps []Step) bool {
	return len(steps) > 0 && steps[len(steps)-1].Filter.Layer == OpsLayer
}

// unchanged fails where a page is not any more what it was.
func (k *memory) unchanged(t *testing.T, by Operations, p *population) {
	t.Helper()
	f := readFrames(t)
	for n, list := range k.folios {
		now := map[uint64]string{}
		all := f.folios(p.groups)
		if by != PAddr {
			all = f.virtual(t, p, n)
		}
		for _, one := range all {
			now[one.start] = one.page.String()
		}
		for _, one := range list {
			if now[one.start] != one.page.String() {
				t.Fatalf("%#x was %v, and now is %q", one.start, one.page, now[one.start])
			}
		}
	}
}

// count starts schemes, and returns their statistics after some passes. Reading all else takes
// longer.
func count(t *testing.T, c *Control, want []Kdamond) []Stats {
	t.Helper()
	if _, err := c.Start(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	all := make([]Stats, len(want[0].Contexts[0].Schemes))
	for deadline := time.Now().Add(labPatience); all[0].Tried == 0 && time.Now().Before(deadline); time.Sleep(time.Second) {
		if err := c.fs.write(Write{File: "0/state", To: string(UpdateStats)}); err != nil {
			t.Fatal(err)
		}
		for i := range all {
			all[i] = readStats(t, c, i)
		}
	}
	return all
}

func readStats(t *testing.T, c *Control, scheme int) (s Stats) {
	t.Helper()
	read := func(file string) *uint64 {
		text, err := c.fs.readText(filepath.Join(c.fs.kdamonds(), "0/contexts/0/schemes", strconv.Itoa(scheme), "stats", file))
		if errors.Is(err, ErrAbsent) {
			return nil
		}
		n, err2 := strconv.ParseUint(text, 10, 64)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		return &n
	}
	return Stats{Tried: value(read("nr_tried")), SizeTried: value(read("sz_tried")), SizeApplied: value(read("sz_applied")), SizePassed: read("sz_ops_filter_passed")}
}

func randomScheme(r *rand.Rand, k *memory, groups []string) Scheme {
	s := NewScheme(Stat)
	s.CoreFilters, s.OpsFilters, s.Filters = []Filter{}, []Filter{}, []Filter{}
	for range r.IntN(3) {
		s.CoreFilters = append(s.CoreFilters, randomCore(r, k))
	}
	for range r.IntN(5) {
		s.OpsFilters = append(s.OpsFilters, randomOps(r, groups))
	}
	for range r.IntN(6) - 3 { // the older directory, seldom
		s.Filters = append(s.Filters, []Filter{randomCore(r, k), randomOps(r, groups)}[r.IntN(2)])
	}
	return s
}

// randomRejects is a set of the kind that there was before 6.14.
func randomRejects(r *rand.Rand, k *memory, groups []string) Scheme {
	s := NewScheme(LRUDeprio)
	s.Filters = []Filter{}
	for range r.IntN(5) {
		f := []Filter{randomCore(r, k), filter(FilterAnon, r.IntN(2) == 0, false), memcg(groups[r.IntN(len(groups))], r.IntN(2) == 0, false)}[r.IntN(3)]
		f.Allow = nil
		s.Filters = append(s.Filters, f)
	}
	return s
}

func randomCore(r *rand.Rand, k *memory) Filter {
	matching, allow := r.IntN(2) == 0, r.IntN(2) == 0
	if r.IntN(3) == 0 {
		return target(r.IntN(len(k.targets)), matching, allow)
	}
	cuts := k.cuts()
	a, b := cuts[r.IntN(len(cuts))], cuts[r.IntN(len(cuts))]
	return addr(min(a, b), max(a, b), matching, allow)
}

func randomOps(r *rand.Rand, groups []string) Filter {
	matching, allow := r.IntN(2) == 0, r.IntN(2) == 0
	switch kind := []FilterType{FilterAnon, FilterActive, FilterMemcg, FilterUnmapped, FilterHugePage}[r.IntN(5)]; kind {
	case FilterMemcg:
		return memcg(groups[r.IntN(len(groups))], matching, allow)
	case FilterHugePage:
		sizes := [][2]uint64{{vma.PageSize, vma.PageSize}, {vma.PageSize + 1, 2<<20 - 1}, {2 << 20, 2 << 20}, {0, 64 << 10}, {64 << 10, 1 << 30}}
		s := sizes[r.IntN(len(sizes))]
		return hugepage(s[0], s[1], matching, allow)
	default:
		return filter(kind, matching, allow)
	}
}
