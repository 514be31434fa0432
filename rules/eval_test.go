package rules

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/safevma/safevma/guarantee"
)

// make compiles a rule without controls, for tests of evaluation.
func makeRule(t testing.TB, s Subject, when, message string, edit func(*Rule)) *Rule {
	t.Helper()
	r := &Rule{ID: "test", Subject: s, When: when, Message: message}
	if edit != nil {
		edit(r)
	}
	var complaints []complaint
	if r.when, complaints = compile(s, when); complaints != nil {
		t.Fatalf("%s: %v", when, complaints)
	}
	if r.message, complaints = parseTemplate(s, message); complaints != nil {
		t.Fatalf("%s: %v", message, complaints)
	}
	for i := range r.Allow {
		if r.Allow[i].when, complaints = compile(s, r.Allow[i].When); complaints != nil {
			t.Fatalf("%s: %v", r.Allow[i].When, complaints)
		}
	}
	r.finish()
	return r
}

// An unknown fact makes a rule unknown, with its name and reason, wherever it stands in
// the expression; but not where the outcome does not depend on it.
func TestUnknownFacts(t *testing.T) {
	const reason = "vma.foreign_pages: permission denied"
	tests := []struct {
		when string
		want guarantee.Status
	}{
		{"vma.foreign_pages > 0", guarantee.Unknown},
		{"!(vma.foreign_pages > 0)", guarantee.Unknown},
		{"vma.foreign_pages == vma.foreign_pages", guarantee.Unknown},
		{"vma.executable && vma.foreign_pages > 0", guarantee.Holds},
		{"vma.foreign_pages > 0 && vma.executable", guarantee.Holds},
		{"vma.foreign_pages > 0 && vma.writable", guarantee.Unknown},
		{"vma.writable || vma.foreign_pages > 0", guarantee.Broken},
		{"vma.foreign_pages > 0 || vma.writable", guarantee.Broken},
		{"vma.foreign_pages > 0 || vma.executable", guarantee.Unknown},
		{"vma.writable ? vma.foreign_pages > 0 : false", guarantee.Unknown},
		{"vma.executable ? vma.foreign_pages > 0 : false", guarantee.Holds},
		{"vma.foreign_pages > 0 ? true : true", guarantee.Unknown},
		{"vma.foreign_pages in [0, 1]", guarantee.Unknown},
		{"0 in [vma.foreign_pages]", guarantee.Unknown},
		{"size([vma.foreign_pages]) == 1", guarantee.Unknown},
		{"{'a': vma.foreign_pages}['a'] == 0", guarantee.Unknown},
		{"vma.foreign_pages + vma.size == 0", guarantee.Unknown},
		{"string(vma.foreign_pages) == '0'", guarantee.Unknown},
		{"iec(vma.foreign_pages) == '0 B'", guarantee.Unknown},
		{"vma.flags.exists(f, vma.foreign_pages > 0)", guarantee.Unknown},
		{"vma.flags.all(f, vma.foreign_pages == 0)", guarantee.Unknown},
		{"vma.flags.exists(f, f == 'lo' || vma.foreign_pages > 0)", guarantee.Broken},
		{"vma.flags.all(f, f == 'xx' && vma.foreign_pages > 0)", guarantee.Holds},
		{"vma.flags.filter(f, vma.foreign_pages > 0).size() > 0", guarantee.Unknown},
		{"vma.flags.map(f, vma.foreign_pages).size() > 0", guarantee.Unknown},
		{"vma.flags.exists_one(f, vma.foreign_pages == 0)", guarantee.Unknown},
		// An error does not decide either.
		{"1 / 0 > 0 && vma.foreign_pages > 0", guarantee.Unknown},
		{"1 / 0 > 0 || vma.foreign_pages > 0", guarantee.Unknown},
	}
	facts := Facts{VMA: &VMA{Writable: true, Flags: []string{"lo", "rd"}, Unknown: Unread("permission denied", "foreign_pages")}}
	for _, tt := range tests {
		r := makeRule(t, SubjectVMA, tt.when, "x", nil)
		result := r.Eval(&facts)
		if result.Status != tt.want {
			t.Errorf("%s: %s, want %s", tt.when, result.Status, tt.want)
		}
		if tt.want == guarantee.Unknown && result.Err == nil && (!slices.Equal(result.Missing, []string{reason}) || !strings.Contains(result.Message, reason)) {
			t.Errorf("%s: missing %q, message %q", tt.when, result.Missing, result.Message)
		}
		if tt.want != guarantee.Unknown && result.Missing != nil {
			t.Errorf("%s: decided, but misses %q", tt.when, result.Missing)
		}
	}
}

// Whatever the field says, the value of an unknown fact is never used.
func TestUnknownEverywhere(t *testing.T) {
	for _, f := range AllFacts() {
		when := string(f.Subject) + "." + f.Name + " == " + string(f.Subject) + "." + f.Name
		subject := f.Subject
		facts := Facts{VMA: &VMA{}, Process: &Process{}, Inode: &Inode{}, Memfd: &Memfd{}, PIDNS: &PIDNamespace{}, Host: &Host{}}
		r := makeRule(t, subject, when, "x", nil)
		if got := r.Eval(&facts); got.Status != guarantee.Broken {
			t.Errorf("%s of known facts: %+v", when, got)
		}
		setUnknown(&facts, subject, map[string]string{f.Name: "not read"})
		want := string(f.Subject) + "." + f.Name + ": not read"
		if got := r.Eval(&facts); got.Status != guarantee.Unknown || !slices.Equal(got.Missing, []string{want}) {
			t.Errorf("%s of an unknown fact: %+v", when, got)
		}
		if err := facts.Check(); err != nil {
			t.Error(err)
		}
	}
}

func setUnknown(f *Facts, s Subject, unknown map[string]string) {
	switch s {
	case SubjectVMA:
		f.VMA.Unknown = unknown
	case SubjectProcess:
		f.Process.Unknown = unknown
	case SubjectInode:
		f.Inode.Unknown = unknown
	case SubjectMemfd:
		f.Memfd.Unknown = unknown
	case SubjectPIDNS:
		f.PIDNS.Unknown = unknown
	case SubjectHost:
		f.Host.Unknown = unknown
	}
}

// One entry of a map can be unknown.
func TestUnknownEntry(t *testing.T) {
	facts := Facts{Host: &Host{
		Hardening: map[string]string{"VMAP_STACK": "off"},
		Kconfig:   map[string]string{"CONFIG_A.B": "y"},
		Unknown:   map[string]string{"hardening.KFENCE": "denied", "kconfig.CONFIG_X": "no config"},
	}}
	tests := []struct {
		when    string
		want    guarantee.Status
		missing string
	}{
		{"host.hardening.VMAP_STACK == 'off'", guarantee.Broken, ""},
		{"host.hardening.KFENCE == 'off'", guarantee.Unknown, "host.hardening.KFENCE: denied"},
		{"host.hardening['KFENCE'] == 'off'", guarantee.Unknown, "host.hardening.KFENCE: denied"},
		{"has(host.hardening.KFENCE)", guarantee.Unknown, "host.hardening.KFENCE: denied"},
		{"'KFENCE' in host.hardening", guarantee.Unknown, "host.hardening.KFENCE: denied"},
		{"host.hardening.exists(k, k == 'KFENCE')", guarantee.Unknown, "host.hardening.KFENCE: denied"},
		{"has(host.hardening.KASAN)", guarantee.Holds, ""},
		{"host.hardening.KASAN == 'off'", guarantee.Unknown, ""}, // no such key: an error
		{"host.kconfig['CONFIG_A.B'] == 'y'", guarantee.Broken, ""},
		{"host.kconfig['CONFIG_' + 'X'] == 'y'", guarantee.Unknown, "host.kconfig.CONFIG_X: no config"},
	}
	for _, tt := range tests {
		result := makeRule(t, SubjectHost, tt.when, "x", nil).Eval(&facts)
		if result.Status != tt.want || tt.missing != "" && !slices.Equal(result.Missing, []string{tt.missing}) {
			t.Errorf("%s: %+v, want %s and %q", tt.when, result, tt.want, tt.missing)
		}
	}
}

func TestMissingSubjects(t *testing.T) {
	r := makeRule(t, SubjectVMA, "vma.size > 0 && host.ksm_run == 1", "{vma.size} of {process.name}", nil)
	tests := []struct {
		facts Facts
		want  Result
	}{
		{Facts{}, Result{Status: guarantee.Unknown, Missing: []string{"vma: no such facts were read"}}},
		{Facts{VMA: &VMA{}}, Result{Status: guarantee.Holds}},
		{Facts{VMA: &VMA{Size: 1}}, Result{Status: guarantee.Unknown, Missing: []string{"host.ksm_run: no such facts were read"}}},
		{Facts{VMA: &VMA{Size: 1}, Host: &Host{KSMRun: 1}}, Result{Status: guarantee.Broken, Message: "1 of (unknown)"}},
	}
	for i, tt := range tests {
		got := r.Eval(&tt.facts)
		if got.Status != tt.want.Status || !slices.Equal(got.Missing, tt.want.Missing) || tt.want.Message != "" && got.Message != tt.want.Message {
			t.Errorf("%d: %+v, want %+v", i, got, tt.want)
		}
	}
}

// What fails when it runs, or costs too much, is unknown and never holds.
func TestFailingExpressions(t *testing.T) {
	facts := Facts{Inode: &Inode{Path: strings.Repeat("a", 100_000)}}
	for i := range 10_000 {
		facts.Inode.Writers = append(facts.Inode.Writers, i)
	}
	facts.Inode.Executors = facts.Inode.Writers
	for when, cost := range map[string]bool{
		"inode.writers[10000] == 1":                                                false,
		"1 / (inode.inode - inode.inode) == 1":                                     false,
		"9223372036854775807 + inode.inode + 1 > 0":                                false,
		"int(inode.path) == 1":                                                     false,
		"inode.writers.exists(w, inode.executors.exists(x, w + x < 0))":            true,
		"inode.writers.all(w, w in inode.executors)":                               true,
		"size(inode.writers.map(w, inode.writers.join(' '))) == 0":                 true,
		"size(inode.writers.map(w, inode.path + inode.path)) == 0":                 true,
		"inode.writers.exists(w, inode.path.matches('(a|b)*c'))":                   true,
		"inode.writers.exists(w, inode.path.contains('aaaaaaaaaaaaaaaaaaaaaaab'))": true,
	} {
		result := makeRule(t, SubjectInode, when, "x", nil).Eval(&facts)
		if result.Status != guarantee.Unknown || result.Err == nil || result.Message == "" || errors.Is(result.Err, ErrCost) != cost {
			t.Errorf("%s: %+v", when, result)
		}
	}
}

func TestDeclared(t *testing.T) {
	declared := func(r *Rule) { r.Declared = true }
	tests := []struct {
		subject Subject
		when    string
		facts   func(bool) Facts
	}{
		{SubjectVMA, "vma.size == 0", func(d bool) Facts { return Facts{VMA: &VMA{}, Process: &Process{Declared: d}} }},
		{SubjectProcess, "process.pid == 0", func(d bool) Facts { return Facts{Process: &Process{Declared: d}} }},
		{SubjectInode, "inode.inode == 0", func(d bool) Facts { return Facts{Inode: &Inode{Declared: d}} }},
		{SubjectMemfd, "memfd.size == 0", func(d bool) Facts { return Facts{Memfd: &Memfd{Declared: d}} }},
		{SubjectPIDNS, "pidns.inode == 0", func(d bool) Facts { return Facts{PIDNS: &PIDNamespace{Declared: d}} }},
	}
	for _, tt := range tests {
		r := makeRule(t, tt.subject, tt.when, "x", declared)
		yes, no := tt.facts(true), tt.facts(false)
		if got := r.Eval(&yes).Status; got != guarantee.Broken {
			t.Errorf("declared %s: %s", tt.subject, got)
		}
		if got := r.Eval(&no).Status; got != guarantee.NotApplicable {
			t.Errorf("%s that is not declared: %s", tt.subject, got)
		}
	}
}

func TestAllow(t *testing.T) {
	r := makeRule(t, SubjectMemfd, "memfd.executable", "{memfd.name}", func(r *Rule) {
		r.Allow = []Allow{{When: "memfd.name == 'known'", Reason: "it is known"}, {When: "'write' in memfd.seals", Reason: "it is sealed"}}
	})
	tests := []struct {
		memfd Memfd
		want  Result
	}{
		{Memfd{Executable: false, Name: "known"}, Result{Status: guarantee.Holds}},
		{Memfd{Executable: true, Name: "known"}, Result{Status: guarantee.NotApplicable, Allowed: "it is known", Message: "allowed: it is known"}},
		{Memfd{Executable: true, Name: "x", Seals: []string{"write"}}, Result{Status: guarantee.NotApplicable, Allowed: "it is sealed", Message: "allowed: it is sealed"}},
		{Memfd{Executable: true, Name: "x"}, Result{Status: guarantee.Broken, Message: "x"}},
		// An exception that can't be decided excuses nothing.
		{Memfd{Executable: true, Name: "x", Unknown: Unread("denied", "seals")}, Result{Status: guarantee.Broken, Message: "x", Missing: []string{"memfd.seals: denied"}}},
		{Memfd{Executable: true, Name: "known", Unknown: Unread("denied", "seals")}, Result{Status: guarantee.NotApplicable, Allowed: "it is known", Message: "allowed: it is known"}},
	}
	for i, tt := range tests {
		got := r.Eval(&Facts{Memfd: &tt.memfd})
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", tt.want) {
			t.Errorf("%d: %+v, want %+v", i, got, tt.want)
		}
	}
}

func TestMessages(t *testing.T) {
	facts := Facts{VMA: &VMA{
		Size: 1536 << 10, Start: math.MinInt64, Name: "a\x1b[31m\u009b\xffb", Flags: []string{"rd", "lo"},
		ForeignOwners: []int{1, 20}, Writable: true, Unknown: Unread("denied", "rss"),
	}}
	for message, want := range map[string]string{
		"{iec(vma.size)} at {hex(vma.start)}":                 "1.5 MiB at 0x8000000000000000",
		"{vma.flags} {vma.foreign_owners} {[1, 2][0]}":        "rd, lo 1, 20 1",
		"{vma.flags.join('')} {vma.foreign_owners.join('/')}": "rdlo 1/20",
		"{vma.writable} {vma.size / 1024 > 3}":                "true true",
		"{{}} {{{vma.size}}}":                                 "{} {1572864}",
		"{'}' + \"{\" + '\\'' + {'a': 'x'}['a']}":             "}{'x",
		"{vma.name}":              "a?[31m??b",
		"{vma.rss} of {vma.size}": "(unknown) of 1572864",
		"{vma.flags[7]}":          "(not evaluated: index out of bounds: 7)",
	} {
		if got := makeRule(t, SubjectVMA, "true", message, nil).Eval(&facts).Message; got != want {
			t.Errorf("%s: %q, want %q", message, got, want)
		}
	}
	facts.VMA.Name = strings.Repeat("é", maxMessage)
	got := makeRule(t, SubjectVMA, "true", "x{vma.name}", nil).Eval(&facts).Message
	if len(got) > maxMessage+len("…") || !strings.HasSuffix(got, "é…") {
		t.Errorf("a long message has %d bytes and ends in %q", len(got), got[len(got)-8:])
	}
}

func TestIEC(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1: "1 B", 1023: "1023 B", 1024: "1 KiB", 1025: "1.0 KiB", 1536: "1.5 KiB", 2047: "1.9 KiB",
		1 << 20: "1 MiB", 5 << 30: "5 GiB", math.MaxInt64: "7.9 EiB", -4096: "-4 KiB", math.MinInt64: "-8 EiB",
	} {
		if got := iec(n); got != want {
			t.Errorf("iec(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, name := range []string{"size_", "flags.lo", "", "kconfig.", "Unknown"} {
		facts := Facts{Host: &Host{Unknown: map[string]string{"kconfig.CONFIG_X": "x", "thp": "x", name: "x"}}}
		if err := facts.Check(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", name)) {
			t.Errorf("unknown fact %q: %v", name, err)
		}
	}
}

// Rules are shared by goroutines; this is run under the race detector.
func TestConcurrentEval(t *testing.T) {
	rules := embeddedRules(t)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			facts := Facts{
				VMA:     &VMA{Perms: "rwxp", Flags: []string{"lo", "mg", "dp"}, Writable: true, Executable: true, Size: 8192, Kind: "anonymous"},
				Process: &Process{Declared: true}, Inode: &Inode{Writers: []int{g}, Executors: []int{g}},
				Memfd: &Memfd{Executable: true, Holders: []int{g}}, PIDNS: &PIDNamespace{}, Host: &Host{KSMRun: 1},
			}
			if g%2 == 1 {
				facts.VMA.Unknown = Unread("denied", "flags", "resident")
				facts.Host.Unknown = Unread("denied", "hardening", "ksm_run")
			}
			for range 50 {
				for _, r := range rules {
					result := r.Eval(&facts)
					want := r.Eval(&facts)
					if fmt.Sprint(result) != fmt.Sprint(want) {
						t.Errorf("%s: %+v, then %+v", r.ID, result, want)
					}
					if r.ID == "inode-written-and-executed" && !strings.Contains(result.Message, fmt.Sprintf("in %d and", g)) {
						t.Errorf("facts of another goroutine: %q, want %d", result.Message, g)
					}
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkEval(b *testing.B) {
	when := "(vma.readable || vma.writable || vma.executable) && vma.resident < vma.size && !('gu' in vma.flags)"
	vma := VMA{Readable: true, Writable: true, Size: 8192, Resident: 8192, Flags: []string{"rd", "wr", "mr", "mw", "me", "ac"}}
	unread := vma
	unread.Unknown = Unread("denied", Sources(SubjectVMA, "pagemap")...)
	needed := vma
	needed.Unknown = Unread("denied", "resident")
	for name, bench := range map[string]struct {
		when string
		vma  *VMA
	}{
		"known":   {when, &vma},
		"unread":  {when, &unread}, // unknown facts that the rule does not need
		"unknown": {when, &needed},
		"loop":    {"vma.flags.exists(f, f == 'lo')", &vma},
	} {
		b.Run(name, func(b *testing.B) {
			r := makeRule(b, SubjectVMA, bench.when, "x", nil)
			facts := Facts{VMA: bench.vma, Process: &Process{}, Host: &Host{}}
			b.ReportAllocs()
			for b.Loop() {
				if r.Eval(&facts).Status == guarantee.Broken {
					b.Fatal("broken")
				}
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	data, err := packFiles.ReadFile("packs/safety.yaml")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Load("safety", data); err != nil {
			b.Fatal(err)
		}
	}
}
