package offender_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/offender"
	"github.com/safevma/safevma/internal/offender/offendertest"
)

func TestMain(m *testing.M) { offendertest.Main(m) }

// Every offender must break its rule, seen from outside by reading /proc, and no
// other that it does not declare; its twins must break none.
func TestOffendersOffendAndTwinsDoNot(t *testing.T) {
	for _, spec := range offender.List() {
		t.Run(spec.Name, func(t *testing.T) {
			o := offendertest.Start(t, spec.Name)
			if o.RuleHint != spec.Rule || o.Requirement != spec.Requirement {
				t.Errorf("report says it breaks %s (%s), the catalogue %s (%s)", o.RuleHint, o.Requirement, spec.Rule, spec.Requirement)
			}
			broken := brokenRules(t, o, spec.Rule)
			if !slices.Contains(broken, spec.Rule) {
				t.Errorf("breaks %v, not its rule %s\n%+v", broken, spec.Rule, o.Report)
			}
			for _, rule := range broken {
				if rule != spec.Rule && !slices.Contains(spec.Also, rule) {
					t.Errorf("breaks %s too, and does not declare it", rule)
				}
			}
		})
		for _, twin := range spec.Twins {
			t.Run(twin.Name, func(t *testing.T) {
				o := offendertest.Start(t, twin.Name)
				if o.RuleHint != "" || o.Requirement != "" {
					t.Errorf("report says it breaks %s (%s), but it is a twin", o.RuleHint, o.Requirement)
				}
				if broken := brokenRules(t, o, spec.Rule); len(broken) > 0 {
					t.Errorf("breaks %v\n%+v", broken, o.Report)
				}
			})
		}
	}
}

func brokenRules(t *testing.T, o *offendertest.Offender, own string) (broken []string) {
	t.Helper()
	v := look(t, o)
	for rule, breaks := range seen {
		if (rule == own || !onlyOwn[rule]) && breaks(t, v) {
			broken = append(broken, rule)
		}
	}
	return broken
}

// The catalogue must name each program once, say what it breaks, and give each
// offender a twin.
func TestCatalogue(t *testing.T) {
	names := map[string]bool{}
	once := func(name, summary string) {
		if names[name] || name == "" || summary == "" {
			t.Errorf("%q: a name twice, or without a summary (%q)", name, summary)
		}
		names[name] = true
	}
	for _, spec := range offender.List() {
		once(spec.Name, spec.Summary)
		if _, ok := guarantee.Find(spec.Requirement); !ok {
			t.Errorf("%s: no requirement %q in the catalogue of guarantees", spec.Name, spec.Requirement)
		}
		if seen[spec.Rule] == nil {
			t.Errorf("%s: no test looks for %q", spec.Name, spec.Rule)
		}
		if len(spec.Twins) == 0 {
			t.Errorf("%s has no twin", spec.Name)
		}
		for _, twin := range spec.Twins {
			once(twin.Name, twin.Summary)
			if !strings.HasPrefix(twin.Name, spec.Name+"-twin") {
				t.Errorf("twin of %s is called %s", spec.Name, twin.Name)
			}
		}
	}
	for _, spec := range offender.Fixtures() {
		once(spec.Name, spec.Summary)
	}
}

// Two processes that map a page are counted by the kernel as two mappings of it.
func TestSharedPagesAreCounted(t *testing.T) {
	counts, err := os.Open("/proc/kpagecount")
	if errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer counts.Close()
	for name, want := range map[string]uint64{
		"shared-memory": 2, "shared-memory-twin": 1,
		"shared-cow": 2, "shared-cow-twin": 1, "shared-cow-twin-dontfork": 1,
	} {
		t.Run(name, func(t *testing.T) {
			o := offendertest.Start(t, name)
			for addr := o.Start; addr < o.End; addr += offender.Addr(os.Getpagesize()) {
				frame := pageFrame(t, o.PID, addr)
				if frame == 0 {
					t.Skip("page frames can't be seen here")
				}
				if got := word(t, counts, frame); got != want {
					t.Errorf("page at %v is mapped %d times, want %d", addr, got, want)
				}
			}
		})
	}
}

// pageFrame returns the number of the page frame at addr, 0 if it is hidden.
func pageFrame(t *testing.T, pid int, addr offender.Addr) uint64 {
	t.Helper()
	pagemap, err := os.Open(fmt.Sprintf("/proc/%d/pagemap", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer pagemap.Close()
	return word(t, pagemap, uint64(addr)/uint64(os.Getpagesize())) & (1<<55 - 1)
}

// The files of hostile-names must be mapped, and have exactly the names that it says.
func TestHostileNames(t *testing.T) {
	o := offendertest.Start(t, "hostile-names")
	if len(o.Ranges) < 15 {
		t.Fatalf("only %d names", len(o.Ranges))
	}
	entries := smaps(t, o.PID)
	for _, r := range o.Ranges {
		raw, err := hex.DecodeString(r.NameHex)
		if err != nil {
			t.Fatal(err)
		}
		e := find(t, entries, r.Start, r.End)
		// The kernel pads before a name and can't say where the padding ends; no name
		// here begins with a space, because each is a path.
		if e.name != escape(string(raw)) {
			t.Errorf("mapping %v is called %q, want %q", r.Start, e.name, escape(string(raw)))
		}
		if e.perms != "r-xp" {
			t.Errorf("%q is mapped %s", raw, e.perms)
		}
		if got := inode(string(raw)); got != e.ino {
			t.Errorf("%q is inode %q, its mapping %s", raw, got, e.ino)
		}
		if dir := filepath.Dir(string(raw)); !strings.HasPrefix(filepath.Base(dir), "offender-") {
			t.Errorf("%q is not in the offender's directory", raw)
		}
	}
}

// The exact numbers asked for must be there, and cost no memory.
func TestVMAs(t *testing.T) {
	for _, test := range []struct{ n, executable int }{{1, 0}, {1, 1}, {2, 1}, {3, 2}, {4, 0}, {150, 7}, {2000, 999}, {5000, 40}} {
		t.Run(fmt.Sprint(test.n, "/", test.executable), func(t *testing.T) {
			o := offendertest.Start(t, "vmas", fmt.Sprint(test.n), fmt.Sprint(test.executable))
			checkMixed(t, o, o.PID, test.n, test.executable)
		})
	}
}

func TestSleepers(t *testing.T) {
	o := offendertest.Start(t, "sleepers", "10", "150", "3")
	if len(o.PIDs) != 10 {
		t.Fatalf("%d processes, want 10", len(o.PIDs))
	}
	for _, pid := range o.PIDs {
		checkMixed(t, o, pid, 150, 3)
	}
}

func checkMixed(t *testing.T, o *offendertest.Offender, pid, n, executable int) {
	t.Helper()
	mappings, executables, perms := 0, 0, map[string]bool{}
	for _, e := range smaps(t, pid) {
		if e.start < o.Start || e.end > o.End {
			continue
		}
		mappings++
		perms[e.perms] = true
		if strings.Contains(e.perms, "x") {
			executables++
		}
		if e.kB("Rss") != 0 {
			t.Errorf("mapping %v has pages: %d kB", e.start, e.kB("Rss"))
		}
	}
	if mappings != n || executables != executable {
		t.Errorf("process %d has %d mappings, %d executable; want %d, %d", pid, mappings, executables, n, executable)
	}
	if n >= 8 && len(perms) < 3 {
		t.Errorf("permissions are not mixed: %v", perms)
	}
}
