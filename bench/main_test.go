package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/safevma/safevma/bench/compare"
)

// The test's binary is the contenders too, as the command is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "contender" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Every contender of every table does a little of its work, and checks what it did.
func TestEachContender(t *testing.T) {
	o := options{tmpfs: "/dev/shm", disk: disk(t), rounds: 1, ops: 1e-9}
	r, err := o.runner(t.Context(), t.TempDir(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	results, err := r.Run(t.Context(), tables())
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range results {
		for k, m := range result.Match {
			for i, c := range m.Contenders {
				t.Run(fmt.Sprintf("%s/%s/%s", result.ID, m.Works[0].Title, c.Name), func(t *testing.T) {
					why := result.Outcomes[k][i].Lacking
					switch {
					case why == "":
					case c.Program != "" && why == r.Lacking[c.Program] && isMissing.MatchString(why), why == r.Lacking[string(result.Place)]:
						t.Skip(why)
					case strings.HasPrefix(c.Work, "run-") && os.Geteuid() != 0:
						t.Skip("only root has all of the profiles: ", why)
					default:
						t.Error(why)
					}
				})
			}
		}
	}
}

// isMissing tells a compiler or a library that is not there from a program that is wrong.
var isMissing = regexp.MustCompile(`No such file|not found|cannot find -l`)

// disk is a folder on a disk, or at least a folder: its absence is then a reason to skip.
func disk(t *testing.T) string {
	if folder := t.TempDir(); compare.Disk.Fits(folder) == nil {
		return folder
	}
	return "."
}

// The page has a place for every table, and for no other.
func TestPageHasMarkers(t *testing.T) {
	text, err := os.ReadFile("../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables() {
		if _, err := compare.Splice(string(text), table.ID, ""); err != nil {
			t.Error(err)
		}
	}
	if n := strings.Count(string(text), "<!-- bench "); n != len(tables()) {
		t.Errorf("%d tables on the page, there are %d", n, len(tables()))
	}
}

// A table is written to the page alone, and what fails leaves the page as it is.
func TestPageIsWritten(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	before := "before\n<!-- bench commit-1 -->\n<!-- end of bench commit-1 -->\nafter\n"
	if err := os.WriteFile(page, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	o := options{docs: page, tables: "transactions", tmpfs: "/proc", disk: "/proc", rounds: 1, ops: 1e-9}
	if err := o.run(t.Output(), t.Output()); err == nil {
		t.Error("no error for a page without the markers")
	}
	if text, err := os.ReadFile(page); err != nil || string(text) != before {
		t.Errorf("%s, %v", text, err)
	}
	o.tables = "commit-1"
	if err := o.run(t.Output(), t.Output()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil || !strings.Contains(string(text), "**Not run: Badger**: /proc is on") || !strings.HasPrefix(string(text), "before\n") ||
		!strings.HasSuffix(string(text), "after\n") {
		t.Errorf("%s, %v", text, err)
	}
	if left, err := os.ReadDir(filepath.Dir(page)); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-rounds", "0"}, {"-ops", "0"}, {"more"}, {"-tables", "none"}, {"contender"}, {"contender", "none", "1", "1", "."}} {
		if err := run(args, t.Output(), t.Output()); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
