package guarantee_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/safevma/safevma/guarantee"
)

func TestCatalogue(t *testing.T) {
	id := regexp.MustCompile(`^SV-[A-Z]{3}-[0-9]{2}$`)
	seen := map[string]bool{}
	for _, r := range guarantee.Catalogue() {
		if !id.MatchString(r.ID) || seen[r.ID] {
			t.Errorf("%s: malformed or twice", r.ID)
		}
		seen[r.ID] = true
		if r.Text == "" || r.Observed == "" || len(r.Top) == 0 {
			t.Errorf("%s: incomplete: %+v", r.ID, r)
		}
		for _, top := range r.Top {
			if guarantee.TopRequirements()[top] == "" {
				t.Errorf("%s serves %q, which has no name", r.ID, top)
			}
		}
		for _, goal := range r.Goals {
			if guarantee.Goals()[goal] == "" {
				t.Errorf("%s has goal %q, which has no name", r.ID, goal)
			}
		}
		if r.Domain != 0 && guarantee.Domains()[r.Domain] == "" {
			t.Errorf("%s has domain %d, which has no name", r.ID, r.Domain)
		}
		if found, ok := guarantee.Find(r.ID); !ok || found.Text != r.Text {
			t.Errorf("%s is not found", r.ID)
		}
	}
	if len(seen) == 0 {
		t.Error("no requirements")
	}
	if _, ok := guarantee.Find("SV-XXX-01"); ok {
		t.Error("what is not there is found")
	}
}

func verdict(change func(*guarantee.Verdict)) guarantee.Verdict {
	v := guarantee.Verdict{Requirement: "SV-RES-01", Rule: "r", Status: guarantee.Broken, Severity: guarantee.Low, Subject: guarantee.Subject{Kind: guarantee.KindHost, Name: "h"},
		Method: guarantee.Read, Observation: guarantee.Observation{Source: "s", Raw: []string{"line"}, Total: 1}, Control: guarantee.Control{Status: guarantee.ControlPassed}, Message: "m"}
	change(&v)
	return v
}

// What the package comment forbids can't be reported.
func TestValidate(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*guarantee.Verdict)
		ok     bool
	}{
		"broken":                   {func(*guarantee.Verdict) {}, true},
		"broken without a control": {func(v *guarantee.Verdict) { v.Control.Status = guarantee.ControlAbsent }, true},
		"broken without raw line":  {func(v *guarantee.Verdict) { v.Observation.Raw = nil }, false},
		"holds":                    {func(v *guarantee.Verdict) { v.Status = guarantee.Holds }, true},
		"holds, control failed":    {func(v *guarantee.Verdict) { v.Status, v.Control.Status = guarantee.Holds, guarantee.ControlFailed }, false},
		"holds, control absent":    {func(v *guarantee.Verdict) { v.Status, v.Control.Status = guarantee.Holds, guarantee.ControlAbsent }, false},
		"holds, no control at all": {func(v *guarantee.Verdict) { v.Status, v.Control = guarantee.Holds, guarantee.Control{} }, false},
		"unknown needs nothing": {func(v *guarantee.Verdict) {
			v.Status, v.Control, v.Observation.Raw = guarantee.Unknown, guarantee.Control{}, nil
		}, true},
		"requirement of nobody":     {func(v *guarantee.Verdict) { v.Requirement = "SV-XXX-01" }, false},
		"status that is not one":    {func(v *guarantee.Verdict) { v.Status = "skipped" }, false},
		"no status":                 {func(v *guarantee.Verdict) { v.Status = "" }, false},
		"severity that is not one":  {func(v *guarantee.Verdict) { v.Severity = "bad" }, false},
		"without a word about what": {func(v *guarantee.Verdict) { v.Message = "" }, false},
	} {
		v := verdict(tt.change)
		err := v.Validate()
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, guarantee.ErrInvalid) {
			t.Errorf("%s: %v, want ok %v", name, err, tt.ok)
		}
		if _, err := guarantee.NewReport(guarantee.Tool{}, guarantee.Host{}, guarantee.Window{}, []guarantee.Verdict{v}, nil); (err == nil) != tt.ok {
			t.Errorf("%s: a report of it: %v, want ok %v", name, err, tt.ok)
		}
	}
}

func TestSummarize(t *testing.T) {
	var verdicts []guarantee.Verdict
	for n, status := range guarantee.Statuses() {
		for range n + 1 {
			verdicts = append(verdicts, verdict(func(v *guarantee.Verdict) { v.Status = status }))
		}
	}
	got := guarantee.Summarize(append(verdicts, verdict(func(v *guarantee.Verdict) { v.Status = "odd" })))
	if got.Broken != 1 || got.Unknown != 3 || got.Holds != 3 || got.NotApplicable != 4 {
		t.Errorf("%+v: what is odd counts as unknown", got)
	}
}

func TestSeverity(t *testing.T) {
	all := guarantee.Severities()
	for i, a := range all {
		for j, b := range all {
			if a.AtLeast(b) != (i >= j) {
				t.Errorf("%s at least %s: %v", a, b, a.AtLeast(b))
			}
		}
	}
	if odd := guarantee.Severity("hgih"); !odd.AtLeast(guarantee.Critical) || odd.Valid() {
		t.Error("a severity that is misspelt hides a finding")
	}
}

func TestReportJSON(t *testing.T) {
	r, err := guarantee.NewReport(guarantee.Tool{Name: "t"}, guarantee.Host{Name: "h"}, guarantee.Since(time.Now()), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var back map[string]any
	if err := json.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if list, ok := back["verdicts"].([]any); !ok || len(list) != 0 {
		t.Errorf("no verdicts are %v, want an empty list", back["verdicts"])
	}
}

func TestMarkdown(t *testing.T) {
	var b bytes.Buffer
	if err := guarantee.WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	for _, r := range guarantee.Catalogue() {
		if !strings.Contains(b.String(), "## "+r.ID+"\n") {
			t.Errorf("%s is not in the document", r.ID)
		}
	}
}

func TestText(t *testing.T) {
	for raw, want := range map[string]string{
		"plain name": "plain name", "ümläut ✓": "ümläut ✓", `back\slash`: `back\\slash`, "new\nline": `new\x0aline`,
		"\xff\xfe": `\xff\xfe`, "\x1b[31mred": `\x1b[31mred`, "\u009b31m": `\xc2\x9b31m`, "\x7f": `\x7f`, "": "",
	} {
		if got := guarantee.Text(raw); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

// Two names that differ stay different, and none can do something to a terminal.
func FuzzText(f *testing.F) {
	f.Add([]byte("a\\x0a"), []byte("a\n"))
	f.Add([]byte("\xff"), []byte("\xef\xbf\xbd"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		x, y := guarantee.Text(a), guarantee.Text(b)
		if (x == y) != bytes.Equal(a, b) {
			t.Errorf("%q and %q become %q and %q", a, b, x, y)
		}
		if !utf8.ValidString(x) || slices.ContainsFunc([]rune(x), unicode.IsControl) {
			t.Errorf("%q becomes %q", a, x)
		}
	})
}
