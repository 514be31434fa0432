package guard

import (
	"strings"
	"testing"
)

const whole = `schema: safevma.profile/v1
name: mine
about: a controller
extends: [wx]
rules:
  memfd-watch: false
  memory-group: true
violation: kill
memory_min: 64MiB
`

func TestParse(t *testing.T) {
	p, err := Parse(strings.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Combine(p)
	if err != nil {
		t.Fatal(err)
	}
	if s.on(MemfdWatch) || !s.on(MDWE) || !s.on(MemoryGroup) || s.Violation != Kill || s.MemoryMin != 64<<20 {
		t.Errorf("%+v", s)
	}
}

// TestParseErrors: what is wrong is refused, and named.
func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                           "no documents",
		"schema: v0\nname: x\n":                      "want safevma.profile/v1",
		"schema: safevma.profile/v1\n":               "name: missing",
		whole + "colour: red\n":                      "colour",
		whole + "lock: never\n":                      "lock",
		whole + "memory_min: 1MiB\n":                 "memory_min",
		whole + "numa_nodes: [64]\n":                 "numa_nodes",
		whole + "noexec_folders: [a]\n":              "noexec_folders",
		whole + "address_space: -1\n":                "-1",
		whole + "address_space: 9999999TiB\n":        "no size",
		strings.Replace(whole, "wx", "xw", 1):        "xw",
		strings.Replace(whole, "memfd-w", "memw", 1): "memwatch",
		strings.Replace(whole, "kill", "shout", 1):   "violation",
	} {
		if _, err := Parse(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(whole)
	f.Add("schema: safevma.profile/v1\nname: x\nrules: {oom-score: true}\noom_score_adj: 5\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(strings.NewReader(text))
		if err != nil {
			return
		}
		s, err := Combine(p)
		if err != nil {
			t.Fatalf("parsed, and can't be used: %v", err)
		}
		if n := len(filterFor(s, s.on(MemfdWatch)).program()); n > 4096 {
			t.Errorf("a filter of %d instructions", n)
		}
	})
}

// TestBuiltin: each profile stands, and safety has all of the others.
func TestBuiltin(t *testing.T) {
	safety, err := Combine(builtin["safety"])
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range Builtin() {
		s, err := Combine(p)
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
			continue
		}
		for r := range s.Rules {
			if !safety.on(r) {
				t.Errorf("%s has %s, and safety has not", p.Name, r)
			}
		}
	}
}
