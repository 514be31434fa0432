package rules

import (
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

func filterRule(t testing.TB, f Filter) *Rule {
	return makeRule(t, SubjectVMA, "true", "x", func(r *Rule) { r.Filter = f })
}

func TestFilter(t *testing.T) {
	const rw, rwx = vma.PermRead | vma.PermWrite, vma.PermRead | vma.PermWrite | vma.PermExec
	tests := []struct {
		filter Filter
		perm   vma.Perm
		flags  vma.Flags
		kind   Kind
		want   bool
	}{
		{Filter{}, rw, 0, KindFile, true},
		{Filter{Perms: "wx"}, rwx, 0, KindFile, true},
		{Filter{Perms: "wx"}, rw, 0, KindFile, false},
		{Filter{Perms: "p"}, rw, 0, KindFile, true},
		{Filter{Perms: "p"}, rw | vma.PermShared, 0, KindFile, false},
		{Filter{Perms: "s"}, rw, 0, KindFile, false},
		{Filter{Perms: "rs"}, rw | vma.PermShared, 0, KindFile, true},
		{Filter{Flags: []string{"lo", "rd"}}, rw, vma.FlagRead | vma.FlagLocked, KindFile, true},
		{Filter{Flags: []string{"lo", "lf"}}, rw, vma.FlagLocked, KindFile, false},
		{Filter{NotFlags: []string{"io", "pf"}}, rw, vma.FlagRead, KindFile, true},
		{Filter{NotFlags: []string{"io", "pf"}}, rw, vma.FlagPFNMap, KindFile, false},
		{Filter{Kinds: []string{"file", "memfd"}}, rw, 0, KindMemfd, true},
		{Filter{Kinds: []string{"file", "memfd"}}, rw, 0, KindStack, false},
		{Filter{Perms: "x", Kinds: []string{"file"}, NotFlags: []string{"lo"}}, rwx, vma.FlagRead, KindFile, true},
		{Filter{Perms: "x", Kinds: []string{"file"}, NotFlags: []string{"lo"}}, rwx, vma.FlagLocked, KindFile, false},
	}
	for _, tt := range tests {
		if got := filterRule(t, tt.filter).MatchVMA(tt.perm, tt.flags, tt.kind); got != tt.want {
			t.Errorf("%+v of %v %v %v: %v", tt.filter, tt.perm, tt.flags, tt.kind, got)
		}
	}
	if makeRule(t, SubjectHost, "true", "x", nil).MatchVMA(rwx, 0, KindFile) {
		t.Error("a rule about the host matches a mapping")
	}
}

// The cheap filter and Eval agree on every mapping, so that nothing is lost where the
// filter is asked first.
func TestFilterAgreesWithEval(t *testing.T) {
	var codes []string
	for i := range 40 {
		codes = append(codes, vma.Flags(1<<i).Codes()...)
	}
	some := func(names []string, n int) []string {
		var picked []string
		for range rand.IntN(n + 1) {
			picked = append(picked, names[rand.IntN(len(names))])
		}
		return picked
	}
	for range 20 {
		f := Filter{Perms: strings.Join(some([]string{"r", "w", "x", "s"}, 2), ""), Flags: some(codes, 2), NotFlags: some(codes, 3), Kinds: some(kindNames[:], 4)}
		r := filterRule(t, f)
		for range 200 {
			flags := vma.Flags(rand.Uint64() & (1<<40 - 1))
			perm, kind := vma.Perm(rand.UintN(16)), Kind(rand.UintN(uint(kinds)))
			facts := VMA{}
			facts.Set(&vma.VMA{Perm: perm, Flags: flags}, kind)
			matches := r.MatchVMA(perm, flags, kind)
			if broken := r.Eval(&Facts{VMA: &facts}).Status == guarantee.Broken; broken != matches {
				t.Fatalf("%+v of %v %v %v: MatchVMA %v, Eval %v", f, perm, flags, kind, matches, broken)
			}
		}
	}
}

// A filter on facts that are not known decides only where another part says no, or the
// expression is false.
func TestFilterOnUnknownFacts(t *testing.T) {
	denied := Unread("smaps: denied", "flags", "resident")
	tests := []struct {
		filter  Filter
		when    string
		want    guarantee.Status
		missing []string
	}{
		{Filter{Flags: []string{"lo"}}, "true", guarantee.Unknown, []string{"vma.flags: smaps: denied"}},
		{Filter{NotFlags: []string{"lo"}}, "true", guarantee.Unknown, []string{"vma.flags: smaps: denied"}},
		{Filter{Perms: "w", Flags: []string{"lo"}}, "true", guarantee.Holds, nil},
		{Filter{Perms: "r", Flags: []string{"lo"}}, "vma.size > 0", guarantee.Holds, nil},
		{Filter{Kinds: []string{"stack"}, Flags: []string{"lo"}}, "true", guarantee.Holds, nil},
		{Filter{Flags: []string{"lo"}}, "vma.resident > 0", guarantee.Unknown, []string{"vma.flags: smaps: denied", "vma.resident: smaps: denied"}},
		{Filter{Flags: []string{"lo"}}, "[1][2] > 0", guarantee.Unknown, []string{"vma.flags: smaps: denied"}},
	}
	for _, tt := range tests {
		r := makeRule(t, SubjectVMA, tt.when, "x", func(r *Rule) { r.Filter = tt.filter })
		got := r.Eval(&Facts{VMA: &VMA{Perms: "r--p", Kind: "file", Unknown: denied}})
		if got.Status != tt.want || !slices.Equal(got.Missing, tt.missing) {
			t.Errorf("%+v and %s: %+v, want %s, %q", tt.filter, tt.when, got, tt.want, tt.missing)
		}
	}
}

func TestKinds(t *testing.T) {
	for k := range kinds {
		if got, ok := ParseKind(k.String()); !ok || got != k {
			t.Errorf("%q is kind %d, want %d", k.String(), got, k)
		}
	}
	if _, ok := ParseKind("files"); ok || Kind(200).String() != "other" {
		t.Error("a kind that is none has a meaning")
	}
}

// The facts of a mapping say what the kernel's own text says.
func TestSetFromThisProcess(t *testing.T) {
	p, err := process.Default().Open(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var reader vma.Reader
	var facts VMA
	seen := 0
	err = reader.Smaps(p, func(v *vma.VMA) error {
		facts.Set(v, KindOther)
		header, rest, _ := strings.Cut(string(v.Raw), "\n")
		fields := strings.Fields(header)
		if facts.Perms != fields[1] || facts.Size != facts.End-facts.Start || facts.Kind != "other" ||
			facts.Readable != (fields[1][0] == 'r') || facts.Writable != (fields[1][1] == 'w') ||
			facts.Executable != (fields[1][2] == 'x') || facts.Shared != (fields[1][3] == 's') {
			t.Errorf("%+v of %q", facts, header)
		}
		for line := range strings.Lines(rest) {
			if key, flags, _ := strings.Cut(strings.TrimSpace(line), ":"); key == "VmFlags" {
				want := strings.Fields(flags)
				got := slices.Clone(facts.Flags)
				slices.Sort(want)
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("flags %q of %q", got, line)
				}
			}
		}
		if facts.Resident < facts.RSS || facts.PageSize == 0 {
			t.Errorf("resident %d, rss %d, page size %d", facts.Resident, facts.RSS, facts.PageSize)
		}
		seen++
		return nil
	})
	if err != nil || seen == 0 {
		t.Fatalf("%d mappings, %v", seen, err)
	}
}

func TestSetKeepsTheRest(t *testing.T) {
	f := VMA{ForeignPages: 7, Unknown: Unread("x", "present_pages")}
	f.Set(&vma.VMA{Start: 0xffffffffff600000, End: 0xffffffffff601000, Inode: 3, Name: []byte("/a\n\xff (deleted)")}, KindFile)
	if f.ForeignPages != 7 || len(f.Unknown) != 1 || f.Start != -0xa00000 || f.Size != 4096 || !f.Deleted || f.Name != `/a\x0a\xff (deleted)` {
		t.Errorf("%+v", f)
	}
	f.Set(&vma.VMA{Name: []byte("[heap]")}, KindHeap)
	if f.Deleted || f.Kind != "heap" || len(f.Flags) != 0 {
		t.Errorf("%+v", f)
	}
}

func TestAllocations(t *testing.T) {
	r := filterRule(t, Filter{Perms: "wx", NotFlags: []string{"lo"}, Kinds: []string{"file"}})
	if n := testing.AllocsPerRun(100, func() { r.MatchVMA(vma.PermWrite, vma.FlagExec, KindFile) }); n != 0 {
		t.Errorf("MatchVMA allocates %v times", n)
	}
	facts := Facts{VMA: &VMA{Perms: "r--p"}}
	if n := testing.AllocsPerRun(100, func() { r.Eval(&facts) }); n != 0 {
		t.Errorf("Eval of what the filter stops allocates %v times", n)
	}
}

func BenchmarkMatchVMA(b *testing.B) {
	rules := embeddedRules(b)
	rules = slices.DeleteFunc(rules, func(r *Rule) bool { return r.Subject != SubjectVMA })
	flags := vma.FlagRead | vma.FlagWrite | vma.FlagMayRead | vma.FlagMayWrite | vma.FlagMayExec | vma.FlagAccount
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		for _, r := range rules {
			if r.MatchVMA(vma.PermRead|vma.PermWrite, flags, KindAnonymous) {
				n++
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(rules)), "ns/rule")
}

func BenchmarkSet(b *testing.B) {
	v := vma.VMA{Start: 0x7f0000000000, End: 0x7f0000001000, Inode: 3, Name: []byte("/usr/lib/libc.so.6"),
		Flags: vma.FlagRead | vma.FlagExec | vma.FlagMayRead | vma.FlagMayWrite | vma.FlagMayExec}
	var f VMA
	b.ReportAllocs()
	for b.Loop() {
		f.Set(&v, KindFile)
	}
}
