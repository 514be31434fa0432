package rules

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/safevma/safevma/guarantee"
)

// scalars parses YAML and returns its scalars.
func scalars(text string) []*yaml.Node {
	d := &decoder{file: "test"}
	if len(text) > maxFile {
		return nil
	}
	if _, reason := unreadable([]byte(text)); reason != "" {
		return nil
	}
	root, err := d.document([]byte(text))
	if err != nil {
		return nil
	}
	var all []*yaml.Node
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode {
			all = append(all, n)
		}
		for _, c := range n.Content {
			walk(c)
		}
	}
	walk(root)
	return all
}

// Each character of a scalar is found where it stands in the file, in every way to write
// a scalar.
func TestLocate(t *testing.T) {
	for name, text := range map[string]string{
		"plain":                  "key: one two # a comment\n",
		"plain, indented":        "- - key:    one\n",
		"plain over lines":       "key: one\n  two   \n\n\n    three\n",
		"plain in a flow":        "{key: one, other: [two, three four]}\n",
		"single-quoted":          "key: 'it''s ''x'\n",
		"single-quoted, lines":   "key: 'one\n  two  \n\n  three'\n",
		"double-quoted":          "key: \"a\\tb \\\"é\\\" \\u00e9 \\x41 \\\\ z\"\n",
		"double-quoted, lines":   "key: \"one\n  two\n\n  three\"\n",
		"literal":                "key: |\n  one\n   two\n\n  three\n",
		"literal, stripped":      "key: |-  # comment\n     one\n     two\nother: x\n",
		"literal, kept":          "key: |+\n  one\n\n\nother: x\n",
		"literal, indentation":   "a:\n- key: |2\n     one\n    two\n",
		"literal, blank first":   "key: |\n\n  one\n",
		"folded":                 "key: >-\n  one\n  two\n\n  three\n\n\n  four\nother: x\n",
		"folded, kept newline":   "key: >\n  one\n  two\n",
		"characters":             "key: 'αβγ' \nκλειδί: |\n  é\n  日本語 x\n",
		"windows":                "key: |\r\n  one\r\n  two\r\nother: x y\r\n",
		"at the end of the file": "key: one two",
	} {
		t.Run(name, func(t *testing.T) {
			source := newSource([]byte(text))
			for _, n := range scalars(text) {
				checkLocate(t, source, n, true)
			}
		})
	}
}

// checkLocate: each offset is inside the file; and, where exact, at the character.
func checkLocate(t *testing.T, s *source, n *yaml.Node, exact bool) {
	t.Helper()
	place := s.locate(n)
	runes := []rune(n.Value)
	fallback := true
	for i, want := range runes {
		p := place(i)
		if p.line < 1 || p.line > len(s.lines) || p.column < 1 || p.column > len(s.lines[p.line-1])+1 {
			t.Fatalf("%q: character %d is at %v, outside the file", n.Value, i, p)
		}
		fallback = fallback && p == at(n)
		if want == ' ' || want == '\n' || p.column > len(s.lines[p.line-1]) {
			continue
		}
		if got := s.lines[p.line-1][p.column-1]; exact && got != want && got != '\\' {
			t.Errorf("%q: character %d (%c) is at %v, where %c stands", n.Value, i, want, p, got)
		}
	}
	if exact && fallback && len(runes) > 1 {
		t.Errorf("%q was not read again", n.Value)
	}
	if end := place(len(runes)); end.line < 1 || end.column < 1 {
		t.Errorf("%q: its end is at %v", n.Value, end)
	}
}

func FuzzLocate(f *testing.F) {
	for _, seed := range []string{
		"k: one\n  two\n", "k: |2-\n   one\n\n  two\n", "k: >\n one\n   two\n\n three\n", "k: \"a\\\n  b \\x4\"\n",
		"k: 'a\n\n ''b'\n", "- |\n\ta\n", "? |\n a\n: >-\n b\n", "k: \"\\U0001F600\"", "k: !!str |\n  a", "k: &a |\n  x\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		source := newSource([]byte(text))
		for _, n := range scalars(text) {
			checkLocate(t, source, n, false)
		}
	})
}

// Whatever an expression and a message say, they are refused with a place inside them, or
// evaluated without a panic; and what fails never holds.
func FuzzExpression(f *testing.F) {
	for _, r := range embeddedRules(f) {
		f.Add(r.When, r.Message)
	}
	f.Add("vma.flags.map(f, f + f).exists(f, f.matches('a*'))", "{{ {vma.flags[0]} }} {'}'}")
	f.Add("(((", "{")
	f.Fuzz(func(t *testing.T, when, message string) {
		for _, s := range Subjects() {
			e, complaints := compile(s, when)
			checkComplaints(t, when, complaints)
			message, complaints := parseTemplate(s, message)
			if e == nil || complaints != nil {
				continue
			}
			r := &Rule{Subject: s, When: when, when: e, message: message}
			r.finish()
			facts := Facts{VMA: &VMA{Flags: []string{"lo"}, Unknown: Unread("x", "rss")}, Process: &Process{}, Inode: &Inode{}, Memfd: &Memfd{}, PIDNS: &PIDNamespace{}, Host: &Host{}}
			if result := r.Eval(&facts); result.Status == guarantee.Holds && (result.Err != nil || result.Missing != nil) {
				t.Errorf("%s holds: %+v", when, result)
			}
		}
	})
}

func checkComplaints(t *testing.T, text string, complaints []complaint) {
	t.Helper()
	for _, c := range complaints {
		if c.offset < 0 || c.offset > len([]rune(text))+strings.Count(text, "\n")+1 || c.reason == "" {
			t.Errorf("%q: complaint %+v", text, c)
		}
	}
}
