package rules

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/safevma/safevma/guarantee"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares text with a file, or writes it.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		name, _, _ := strings.Cut(t.Name(), "/")
		t.Errorf("%s is not current: run go test ./rules -run %s -update, and look at the difference\n%s", path, name, firstDifference(got, string(want)))
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d: got  %q\nline %d: want %q", i+1, g[i], i+1, w[i])
		}
	}
	return fmt.Sprintf("got %d lines, want %d", len(g), len(w))
}

// Every fault of a bad file is named with its place and what to do, exactly.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			pack, err := Load(filepath.Base(file), data)
			if err == nil || pack != nil {
				t.Fatalf("loaded: %v, %v", pack, err)
			}
			checkErrors(t, err, filepath.Base(file))
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", err.Error()+"\n")
		})
	}
}

// checkErrors: an error of Load is only [*Error]s, each of the file and with a reason.
func checkErrors(t *testing.T, err error, file string) {
	t.Helper()
	all, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%T does not join errors", err)
	}
	for _, e := range all.Unwrap() {
		var fault *Error
		if !errors.As(e, &fault) || fault.File != file || fault.Reason == "" || (fault.Line == 0) != (fault.Column == 0) {
			t.Errorf("%#v is not a fault of %s", e, file)
		}
	}
}

func embeddedRules(t testing.TB) []*Rule {
	t.Helper()
	rules, err := Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// The embedded packs load, so all their controls behave; and each rule tells a user what
// a rule must tell.
func TestEmbedded(t *testing.T) {
	if names := EmbeddedNames(); !slices.Equal(names, []string{"baseline", "safety"}) {
		t.Errorf("embedded packs: %v", names)
	}
	for _, r := range embeddedRules(t) {
		if len(r.References) == 0 {
			t.Errorf("%s has no reference", r.ID)
		}
		if len(r.Means) < 40 || len(r.Remedy) < 20 || strings.HasSuffix(r.Message, ".") {
			t.Errorf("%s: means %q, remedy %q, message %q", r.ID, r.Means, r.Remedy, r.Message)
		}
		if r.Pack == "" || r.File == "" || r.Line == 0 || len(r.Needs()) == 0 || r.Method == "" {
			t.Errorf("%s: pack %q, %s:%d, method %q, needs %v", r.ID, r.Pack, r.File, r.Line, r.Method, r.Needs())
		}
		if r.Declared != strings.HasPrefix(r.ID, "declared-") {
			t.Errorf("%s: declared is %v", r.ID, r.Declared)
		}
	}
	if _, err := Embedded("basline"); err == nil || !strings.Contains(err.Error(), `"baseline"`) {
		t.Errorf("a pack that is not there: %v", err)
	}
	again, _ := Embedded("safety")
	if first, _ := Embedded("safety"); first != again || len(first.Digest) != 64 {
		t.Errorf("Embedded made the pack twice, or without digest %q", first.Digest)
	}
}

// What the audit promises to look for is there.
func TestEmbeddedCovers(t *testing.T) {
	want := map[string]guarantee.Severity{
		"wx-mapping": "high", "executable-stack": "high", "inode-written-and-executed": "high",
		"memfd-executable": "medium", "memfd-executable-sealed": "low", "memfd-noexec-mapped-executable": "high",
		"program-in-memfd": "high", "program-deleted": "low", "executable-mapping-deleted": "low",
		"locked-not-resident": "medium", "locked-on-fault": "info", "declared-not-locked": "medium",
		"droppable": "info", "mergeable": "info", "merging": "low", "declared-read-hint": "info", "secret-memory": "info",
		"declared-pages-shared": "high", "declared-file-pages-shared": "info", "declared-swapped": "high",
		"vma-count": "medium", "overcommitted": "low", "overcommit-allowed": "medium",
		"executable-memfd-not-refused": "medium", "kcore-readable": "medium", "dev-mem-readable": "medium",
		"lockdown-none": "medium", "proc-mem-overrides-protection": "medium", "ptrace-unrestricted": "low",
		"uprobes-set": "medium", "bpf-tracing-loaded": "medium", "core-dump-program": "info", "suid-dumpable": "low",
		"unprivileged-bpf": "medium", "unprivileged-userfaultfd": "low", "kernel-lists-unchecked": "medium",
		"kernel-usercopy-unchecked": "medium", "kernel-stacks-unguarded": "medium", "kernel-text-writable": "high",
		"kernel-frees-unzeroed": "info", "declared-oom-score": "medium", "panic-on-oom": "info", "host-swap": "medium",
		"huge-pages-always": "info",
	}
	for _, r := range embeddedRules(t) {
		if severity, ok := want[r.ID]; ok && severity != r.Severity {
			t.Errorf("%s is %s, want %s", r.ID, r.Severity, severity)
		}
		delete(want, r.ID)
	}
	if len(want) > 0 {
		t.Errorf("no rule for %v", want)
	}
}

// The controls of the embedded rules are able to find a rule that is wrong: turned
// round, every rule is refused.
func TestControlsFindReversedRules(t *testing.T) {
	for _, name := range EmbeddedNames() {
		data, err := packFiles.ReadFile("packs/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		reversed := strings.NewReplacer("      fires:\n", "      silent:\n", "      silent:\n", "      fires:\n").Replace(string(data))
		_, err = Load(name, []byte(reversed))
		if err == nil {
			t.Fatalf("%s: reversed controls pass", name)
		}
		pack, err2 := Embedded(name)
		if err2 != nil {
			t.Fatal(err2)
		}
		for _, r := range pack.Rules {
			if !strings.Contains(err.Error(), `rule "`+r.ID+`": this control`) {
				t.Errorf("%s: %s passes with its controls reversed", name, r.ID)
			}
		}
	}
}

// small is a rule file with one rule about a mapping.
func small(when string) string {
	return `schema: safevma.rules/v1
pack: small
description: One rule.
rules:
  - id: small
    requirement: SV-XDM-03
    severity: low
    subject: vma
    when: |
      ` + when + `
    message: x
    means: x
    remedy: x
    controls:
      fires: [{vma: {size: 1, flags: [lo], name: x}}]
      silent: [{vma: {size: 0, flags: [], name: y}}]
`
}

func TestHostileFilesAreRefusedSoon(t *testing.T) {
	tests := map[string]string{
		"too large":          small("vma.size > 0") + strings.Repeat("#", maxFile),
		"parentheses":        small(strings.Repeat("(", 2000) + "vma.size > 0" + strings.Repeat(")", 2000)),
		"lists":              small("size(" + strings.Repeat("[", 1900) + strings.Repeat("]", 1900) + ") > 0"),
		"conditions":         small(strings.Repeat("true ? true : ", 200) + "true"),
		"alternatives":       small(strings.Repeat("true||", 600) + "true"),
		"selects":            small("vma" + strings.Repeat(".x", 1900)),
		"long":               small("vma.size > 0" + strings.Repeat(" ", maxExpression)),
		"doubling text":      small("size(['x']" + strings.Repeat(".map(a, a+a)", 40) + ") > 0"),
		"regular expression": small("vma.name.matches('" + strings.Repeat("(a{1,50}){1,50}", 10) + "')"),
		"many holes":         strings.Replace(small("vma.size > 0"), "message: x", "message: '"+strings.Repeat("{1}", 5000)+"'", 1),
		"many exceptions":    strings.Replace(small("vma.size > 0"), "means: x", "allow: ["+strings.Repeat("{when: a, reason: b},", 5000)+"]\n    means: x", 1),
		"many unknown keys":  strings.Repeat("a: b\n", 20000),
	}
	for name, file := range tests {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			pack, err := Load("hostile", []byte(file))
			if pack != nil || err == nil {
				t.Fatal("loaded")
			}
			checkErrors(t, err, "hostile")
			if n := strings.Count(err.Error(), "\n"); n > maxErrors {
				t.Errorf("%d lines of errors", n)
			}
			// Far more than it takes, far less than a hang.
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestLoadFiles(t *testing.T) {
	dir := t.TempDir()
	good, other, bad := filepath.Join(dir, "good.yaml"), filepath.Join(dir, "other.yaml"), filepath.Join(dir, "bad.yaml")
	for path, text := range map[string]string{
		good:  small("vma.size > 0"),
		other: strings.Replace(small("vma.size > 0"), "id: small", "id: other", 1),
		bad:   small("vma.sise > 0"),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	packs, err := LoadFiles(good, other)
	if err != nil || len(packs) != 2 {
		t.Fatalf("%d packs, %v", len(packs), err)
	}
	if rules, err := Join(packs...); err != nil || len(rules) != 2 {
		t.Errorf("joined %d rules, %v", len(rules), err)
	}
	_, err = Join(packs[0], packs[0])
	var fault *Error
	if !errors.As(err, &fault) || fault.Rule != "small" || fault.Line != 5 {
		t.Errorf("two rules of one id: %v", err)
	}
	packs, err = LoadFiles(good, filepath.Join(dir, "missing.yaml"), bad, dir)
	if packs != nil || err == nil {
		t.Fatalf("loaded %v, %v", packs, err)
	}
	for _, want := range []string{
		"missing.yaml: can't be read: no such file or directory",
		"bad.yaml:10:10: rule \"small\": undefined field 'sise': did you mean \"size\"?",
		dir + ": can't be read: is a directory",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
}

func FuzzLoad(f *testing.F) {
	// Each rule of each file is a seed of its own: whole packs take the fuzzer too long.
	for _, pattern := range []string{"packs/*.yaml", "testdata/bad/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("%s: %d seeds, %v", pattern, len(files), err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			parts := strings.Split(string(data), "\n  - id: ")
			f.Add([]byte(parts[0]))
			for _, rule := range parts[1:] {
				f.Add([]byte(parts[0] + "\n  - id: " + rule + "\n"))
			}
		}
	}
	f.Add([]byte(small("vma.flags.exists(f, f == 'lo')")))
	f.Add([]byte(strings.ReplaceAll(small("size(vma.name) > 0"), "\n", "\r\n")))
	f.Fuzz(func(t *testing.T, data []byte) {
		pack, err := Load("fuzz", data)
		if err != nil {
			if pack != nil {
				t.Error("a pack and an error")
			}
			checkErrors(t, err, "fuzz")
			return
		}
		for _, r := range pack.Rules {
			// Of nothing at all, nothing is known; and no rule fails on zeroes.
			if result := r.Eval(&Facts{}); result.Status != guarantee.Unknown {
				t.Errorf("%s says %s of no facts", r.ID, result.Status)
			}
			facts := Facts{VMA: &VMA{}, Process: &Process{Declared: true}, Inode: &Inode{}, Memfd: &Memfd{}, PIDNS: &PIDNamespace{}, Host: &Host{}}
			if result := r.Eval(&facts); result.Status == guarantee.Holds && result.Err != nil {
				t.Errorf("%s holds with error %v", r.ID, result.Err)
			}
		}
	})
}
