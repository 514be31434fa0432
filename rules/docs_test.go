package rules

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const docs = "../docs/rules.md"

// The generated parts of docs/rules.md are what the code says.
func TestDocs(t *testing.T) {
	data, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for name, content := range map[string]string{
		"facts": factsReference(t), "kinds": kindsReference(), "hardening": hardeningReference(), "rules": rulesReference(t),
	} {
		text = replacePart(t, text, name, content)
	}
	golden(t, docs, text)
}

// replacePart puts new content between the markers of a generated part.
func replacePart(t *testing.T, text, name, content string) string {
	t.Helper()
	begin, end := "<!-- generated: "+name+" -->\n", "<!-- end of "+name+" -->\n"
	before, rest, ok := strings.Cut(text, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no part %q", docs, name)
	}
	return before + begin + "\n" + content + "\n" + end + after
}

func factsReference(t *testing.T) string {
	comments := fieldComments(t)
	var b strings.Builder
	for _, s := range Subjects() {
		fmt.Fprintf(&b, "#### %s\n\n| fact | type | meaning | read from |\n|---|---|---|---|\n", s)
		for _, f := range reference[s] {
			field := factStructs[s].Name() + "." + factStructs[s].Field(f.index).Name
			if comments[field] == "" {
				t.Errorf("%s has no comment", field)
			}
			fmt.Fprintf(&b, "| `%s.%s` | `%s` | %s | %s |\n", s, f.Name, f.Type, cell(comments[field]), cell(f.Source))
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func cell(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "|", `\|`) }

// fieldComments reads the comments of the structs of facts: "VMA.Size" and so on.
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("facts_*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files of facts, %v", len(files), err)
	}
	comments := make(map[string]string)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range s.Fields.List {
					comments[spec.Name.Name+"."+f.Names[0].Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
				}
			}
			return false
		})
	}
	return comments
}

func kindsReference() string {
	return "`" + strings.Join(kindNames[:], "`, `") + "`\n"
}

func hardeningReference() string {
	var b strings.Builder
	b.WriteString("| name | \"on\" means |\n|---|---|\n")
	for _, h := range hardening {
		fmt.Fprintf(&b, "| `%s` | %s |\n", h.name, h.meaning)
	}
	return b.String()
}

func rulesReference(t *testing.T) string {
	var b strings.Builder
	for _, name := range EmbeddedNames() {
		pack, err := Embedded(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "#### %s\n\n%s\n\n| rule | requirement | severity | subject | references |\n|---|---|---|---|---|\n", name, pack.Description)
		for _, r := range pack.Rules {
			var ids []string
			for _, ref := range r.References {
				ids = append(ids, ref.ID)
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", r.ID, r.Requirement, r.Severity, r.Subject, strings.Join(ids, ", "))
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// The examples in the documentation are rules that load.
func TestDocsExamples(t *testing.T) {
	data, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for part := range strings.SplitSeq(string(data), "```yaml\n") {
		example, _, closed := strings.Cut(part, "```\n")
		if !closed || !strings.HasPrefix(example, "schema:") {
			continue
		}
		n++
		if _, err := Load("example", []byte(example)); err != nil {
			t.Errorf("%v\nin:\n%s", err, example)
		}
	}
	if n == 0 {
		t.Error("there is no example")
	}
}

// Every fact has a CEL type, a source and a name of its own, and Needs finds it.
func TestFacts(t *testing.T) {
	seen := make(map[string]bool)
	for _, f := range AllFacts() {
		name := string(f.Subject) + "." + f.Name
		if seen[name] || f.Name == "" || f.Source == "" {
			t.Errorf("fact %+v: seen %v", f, seen[name])
		}
		seen[name] = true
		field := factStructs[f.Subject].Field(f.index)
		switch field.Type.Kind() {
		case reflect.Bool, reflect.Int64, reflect.String, reflect.Slice, reflect.Map:
		default:
			t.Errorf("%s is of a type that controls can't set: %s", name, field.Type)
		}
		r := makeRule(t, f.Subject, name+" == "+name, "x", nil)
		if needs := r.Needs(); len(needs) != 1 || needs[0] != name || !r.NeedsSource(f.Subject, f.Source) || r.NeedsSource(f.Subject, "elsewhere") {
			t.Errorf("a rule on %s needs %v", name, needs)
		}
	}
	if got := Sources(SubjectVMA, "kpagecount"); strings.Join(got, " ") != "foreign_pages foreign_owners" {
		t.Errorf("from kpagecount come %v", got)
	}
}

// Needs finds facts wherever they stand.
func TestNeeds(t *testing.T) {
	r := makeRule(t, SubjectVMA, "vma.flags.exists(f, f == process.name) ? host.thp == 'x' : {'a': vma.size}['a'] in [vma.rss]",
		"{has(host.kconfig.CONFIG_X) ? 1 : size(host.cmdline['x'])}", func(r *Rule) {
			r.Filter = Filter{Perms: "x", Flags: []string{"lo"}, Kinds: []string{"file"}}
			r.Allow = []Allow{{When: "vma.inode == 1", Reason: "x"}}
		})
	want := "host.cmdline host.kconfig host.thp process.name vma.flags vma.inode vma.kind vma.perms vma.rss vma.size"
	if got := strings.Join(r.Needs(), " "); got != want {
		t.Errorf("needs %s, want %s", got, want)
	}
}
