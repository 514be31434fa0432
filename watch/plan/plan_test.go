package plan

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/safevma/safevma/kernel/damon"
)

func memory() ([]damon.AddrRegion, error) {
	return []damon.AddrRegion{{Start: 4096, End: 1 << 30}, {Start: 1 << 32, End: 1 << 33}}, nil
}

const asYAML = `
kdamonds:
  - state: on          # a word, not a truth value
    contexts:
      - operations: paddr
        monitoring_attrs: {intervals: {sample_us: 5 ms, aggr_us: 100000}}
        targets: [{regions: [{start: 0x1000, end: 1 GiB}]}]
        schemes:
          - action: pageout
            access_pattern: {sz: {min: 4096, max: 18446744073709551615}}
            quotas: {ms: 10, reset_interval_ms: 1 s}
            ops_filters: [{type: anon, matching: true, allow: false}]
`

const asJSON = `{"kdamonds": [{"state": "on", "contexts": [{"operations": "paddr",
	"monitoring_attrs": {"intervals": {"sample_us": 5000, "aggr_us": 100000}}, "targets": [{"regions": [{"start": 4096, "end": 1073741824}]}],
	"schemes": [{"action": "pageout", "access_pattern": {"sz": {"min": 4096, "max": 18446744073709551615}},
		"quotas": {"ms": 10, "reset_interval_ms": 1000}, "ops_filters": [{"type": "anon", "matching": true, "allow": false}]}]}]}]}`

func apply(t *testing.T, w Words, base []damon.Kdamond, text string) ([]damon.Kdamond, error) {
	t.Helper()
	var file any
	if text != "" {
		var err error
		if file, err = Read(strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	return w.Apply(base, file, memory)
}

func applied(t *testing.T, w Words, base []damon.Kdamond, text string) []damon.Kdamond {
	t.Helper()
	list, err := apply(t, w, base, text)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// YAML and JSON say the same, and words on top of them win.
func TestRead(t *testing.T) {
	a, b := applied(t, Words{}, nil, asYAML), applied(t, Words{}, nil, asJSON)
	if !reflect.DeepEqual(a, b) || a[0].Contexts[0].Schemes[0].Pattern.Size.Max != 1<<64-1 {
		t.Errorf("%+v\n%+v", a, b)
	}
	c := applied(t, Words{Values: map[string]string{"sample": "7ms", "quota-time": "20ms"}}, nil, asYAML)
	want := a
	want[0].Contexts[0].Attrs.Intervals.Sample, want[0].Contexts[0].Schemes[0].Quotas.MS = 7000, 20
	if !reflect.DeepEqual(c, want) {
		t.Errorf("%+v\nwant %+v", c, want)
	}
	if d := applied(t, Words{}, nil, "[{contexts: [{operations: paddr, targets: [{}]}]}]"); len(d) != 1 {
		t.Errorf("YAML in brackets: %+v", d)
	}
	for _, text := range []string{"{", "[] []", "[1}", "\t-", "a: b: c", "{}", "3", "- &a [*a]", "kdamonds: [{state: 3}]"} {
		file, err := Read(strings.NewReader(text))
		if err == nil {
			_, err = (&Words{}).Apply(nil, file, memory)
		}
		if !errors.Is(err, damon.ErrMalformed) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// The plan in the documentation is one that the kernel takes, and has nothing surprising in it.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/damon.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := bytes.Cut(text, []byte("\n\n    kdamonds:\n"))
	text, _, end := bytes.Cut(text, []byte("\n\n"))
	if !ok || !end {
		t.Fatal("docs/damon.md has no plan")
	}
	list := applied(t, Words{}, nil, "    kdamonds:\n"+string(text))
	if found := damon.Lint(list); len(list) != 1 || list[0].Contexts[0].Schemes[0].OpsFilters[0].Type != damon.FilterAnon || len(found) > 0 {
		t.Errorf("%+v: %+v", list, found)
	}
}

// Words alone are a whole configuration.
func TestWords(t *testing.T) {
	physical := Words{Values: map[string]string{"sample": "5ms", "regions": "100-max", "action": "pageout", "age": "12-max", "size": "2MiB-max",
		"quota-bytes": "128MiB", "refresh": "1s", "node": "-1"},
		Filters: []string{"reject anon", "allow none memcg /a b", "reject addr 0x1000-8192", "allow hugepage_size 2MiB-max", "reject target 0"}}
	if err := physical.Targets([]string{"paddr"}); err != nil {
		t.Fatal(err)
	}
	k := applied(t, physical, nil, "")[0]
	c := k.Contexts[0]
	s := c.Schemes[0]
	if *k.RefreshMS != 1000 || c.Operations != damon.PAddr || len(c.Targets) != 1 || len(c.Targets[0].Regions) != 2 || c.Attrs.Intervals.Sample != 5000 ||
		c.Attrs.Regions.Min != 100 || s.Action != damon.PageOut || s.Pattern.Age.Min != 12 || s.Pattern.Age.Max != 1<<32-1 || s.Pattern.Size.Min != 2<<20 ||
		s.Quotas.Bytes != 128<<20 || *s.TargetNID != -1 {
		t.Errorf("%+v", k)
	}
	if f := s.OpsFilters; len(f) != 3 || f[0].Type != damon.FilterAnon || !f[0].Matching || *f[0].Allow || f[1].Memcg != "/a b" || f[1].Matching ||
		!*f[1].Allow || *f[2].Min != 2<<20 {
		t.Errorf("%+v", f)
	}
	if f := s.CoreFilters; len(f) != 2 || *f[0].AddrStart != 4096 || *f[0].AddrEnd != 8192 || *f[1].Target != 0 {
		t.Errorf("%+v", f)
	}
	virtual := Words{Regions: []string{"4096-8192"}, Values: map[string]string{"ops": "fvaddr"}}
	if err := virtual.Targets([]string{"12", "13"}); err != nil {
		t.Fatal(err)
	}
	c = applied(t, virtual, nil, "")[0].Contexts[0]
	if c.Operations != damon.FVAddr || len(c.Targets) != 2 || c.Targets[1].PID != 13 || c.Targets[1].Regions[0].End != 8192 || len(c.Schemes) != 0 {
		t.Errorf("%+v", c)
	}
}

// What words do not name stays, also that there are others.
func TestWordsOverBase(t *testing.T) {
	base := []damon.Kdamond{damon.NewKdamond(damon.VAddr), damon.NewKdamond(damon.PAddr)}
	base[0].Contexts[0].Targets = []damon.Target{{PID: 1, Regions: []damon.AddrRegion{}}, {PID: 2, Regions: []damon.AddrRegion{}}}
	base[0].Contexts[0].Schemes = []damon.Scheme{damon.NewScheme(damon.Stat), damon.NewScheme(damon.Cold)}
	if got := applied(t, Words{}, base, ""); !reflect.DeepEqual(got, base) {
		t.Errorf("no words: %+v", got)
	}
	got := applied(t, Words{Values: map[string]string{"age": "3-9"}, Regions: []string{"0-4096"}}, base, "")
	want := applied(t, Words{}, base, `[{}, {}]`)
	want[0].Contexts[0].Schemes[0].Pattern.Age = damon.Range{Min: 3, Max: 9}
	want[0].Contexts[0].Targets[0].Regions = []damon.AddrRegion{{Start: 0, End: 4096}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}

func TestWordsErrors(t *testing.T) {
	for want, w := range map[string]Words{
		"--size 5":                {Values: map[string]string{"size": "5"}},
		"sample_us":               {Values: map[string]string{"sample": "5 apples"}},
		"--region x":              {Regions: []string{"x"}},
		"regions/0/end":           {PIDs: []int{1}, Regions: []string{"x-y"}},
		"want allow or reject":    {Filters: []string{"anon"}},
		"want a type":             {Filters: []string{"allow none"}},
		"takes nothing":           {Filters: []string{"allow anon x"}},
		"path of a control group": {Filters: []string{"allow memcg"}},
		"start-end":               {Filters: []string{"allow addr 5"}},
	} {
		if _, err := apply(t, w, nil, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", w, err, want)
		}
	}
	for _, args := range [][]string{{"x"}, {"0"}, {"-3"}, {"paddr", "1"}, {"paddr", "paddr"}} {
		if err := (&Words{}).Targets(args); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
	none := func() ([]damon.AddrRegion, error) { return nil, ErrNoRAM }
	if _, err := (&Words{Physical: true}).Apply(nil, nil, none); !errors.Is(err, ErrNoRAM) {
		t.Error(err)
	}
}

func TestRAM(t *testing.T) {
	list, err := parseRAM(strings.NewReader("00000000-00000fff : Reserved\n00001000-0009fbff : System RAM\n  00002000-00002fff : System RAM\n" +
		"100000000-13fffffff : System RAM\n"))
	if err != nil || !reflect.DeepEqual(list, []damon.AddrRegion{{Start: 0x1000, End: 0x9fc00}, {Start: 1 << 32, End: 0x140000000}}) {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := parseRAM(strings.NewReader("00000000-00000000 : System RAM\n")); !errors.Is(err, ErrNoRAM) {
		t.Errorf("as an ordinary user sees it: %v", err)
	}
	if _, err := parseRAM(strings.NewReader("what : System RAM\n")); !errors.Is(err, damon.ErrMalformed) {
		t.Error(err)
	}
}

// Whatever a file says, it is taken or refused.
func FuzzRead(f *testing.F) {
	f.Add(asYAML)
	f.Add(asJSON)
	f.Add(`[{"contexts": [{"ops": "vaddr", "targets": [{"pid": 1}]}]}]`)
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Read(strings.NewReader(text))
		if err != nil {
			if !errors.Is(err, damon.ErrMalformed) {
				t.Error(err)
			}
			return
		}
		if _, err := damon.Merge(nil, file); err != nil && !errors.Is(err, damon.ErrMalformed) {
			t.Error(err)
		}
	})
}
