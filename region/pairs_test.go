package region

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/safevma/safevma/guarantee"
)

//go:generate go test -count=1 -run ^TestPairs$ . -update

var update = flag.Bool("update", false, "write docs/region/pairs.md")

// options are all, each as a user would ask for it alone.
var options = []struct {
	name   string
	option Option
}{
	{"Secret", Secret()},
	{"Resident", Resident()},
	{"OnUse", mutantBudget},
	{"Guarded", Guarded()},
	{"Sealed", Sealed()},
	{"ReadOnly", ReadOnly(table)},
	{"ReadOnlyUntilClose", ReadOnlyUntilClose(table)},
	{"Windowed", Windowed()},
	{"NoDump", NoDump()},
	{"NoFork", NoFork()},
	{"WipeOnFork", WipeOnFork()},
	{"NoExec", NoExec()},
	{"NoMerge", NoMerge()},
	{"NoSwap", NoSwap()},
}

// The cells of the table.
const (
	cellHolds    = "holds"
	cellConflict = "refused"
	cellKeys     = "keys"
	cellUnknown  = "" // this machine can't say
)

const pairsFile = "../docs/region/pairs.md"

// Every pair is given, and then verified, or refused with a reason. The table of it is the one in
// the documentation, as far as this machine can tell.
func TestPairs(t *testing.T) {
	reasons := map[string]string{}
	var order []string
	cells := make([][]string, len(options))
	for i, a := range options {
		cells[i] = make([]string, len(options))
		for j, b := range options[:i+1] {
			cell, reason := tryPair(t, a.name+" and "+b.name, a.option, b.option)
			cells[i][j] = cell
			if reason != "" && reasons[reason] == "" {
				order = append(order, reason)
			}
			if reason != "" {
				reasons[reason] += "; " + b.name + " and " + a.name
			}
		}
	}
	text := pairsText(cells, order, reasons)
	if *update {
		if err := os.WriteFile(pairsFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	comparePairs(t, cells, text)
}

func tryPair(t *testing.T, name string, a, b Option) (cell, reason string) {
	t.Helper()
	r, err := Map(5000, a, b)
	var e *Error
	switch {
	case err == nil:
	case !errors.As(err, &e) || e.Guarantee == "" || e.Requirement == "" || e.Reason == "":
		t.Errorf("%s: %v: not an error that names the guarantee and the reason", name, err)
		return cellUnknown, ""
	case errors.Is(err, ErrConflict):
		return cellConflict, e.Reason
	case errors.Is(err, ErrUnsupported) && e.Guarantee == (sealed|windowed).String():
		return cellKeys, e.Reason
	case errors.Is(err, ErrUnsupported):
		t.Logf("%s: %v", name, err)
		return cellUnknown, ""
	default:
		t.Errorf("%s: %v", name, err)
		return cellUnknown, ""
	}
	cell = cellHolds
	if r.has.has(sealed | windowed) {
		cell = cellKeys
	}
	verified(t, name, r)
	if err := r.Close(); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return cell, ""
}

func verified(t *testing.T, name string, r *Region) {
	t.Helper()
	verdicts, err := r.Verify()
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	for i := range verdicts {
		if v := &verdicts[i]; v.Status != guarantee.Holds && v.Status != guarantee.NotApplicable {
			t.Errorf("%s: %s: %s: %s", name, v.Rule, v.Status, v.Message)
		}
	}
}

const pairsHead = `# Pairs of guarantees

Each option of package region is asked for together with each other one, on a running kernel, by
the test that writes this table. **holds**: the region is made, and Verify says that all that both
promise holds. **refused**: no machine can give both; Map says so with ErrConflict, and the reason.
**keys**: it holds where the processor has protection keys, and is refused with ErrUnsupported
where it has none. The diagonal is each option alone.

`

func pairsText(cells [][]string, order []string, reasons map[string]string) string {
	var b strings.Builder
	b.WriteString(pairsHead + "| |")
	for _, o := range options {
		b.WriteString(" " + o.name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(options)) + "\n")
	for i, o := range options {
		b.WriteString("| **" + o.name + "** |")
		for j := range options {
			if j > i {
				b.WriteString(" |")
				continue
			}
			b.WriteString(" " + cells[i][j] + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\n## Why\n\n")
	for _, reason := range order {
		fmt.Fprintf(&b, "- %s: %s.\n", strings.TrimPrefix(reasons[reason], "; "), reason)
	}
	return b.String()
}

// comparePairs compares what this machine can tell. In the lab, a test has no sources.
func comparePairs(t *testing.T, cells [][]string, text string) {
	t.Helper()
	file, err := os.ReadFile(pairsFile)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the table is not here")
	}
	if err != nil {
		t.Fatal(err)
	}
	documented := string(file)
	whole := true
	lines := strings.Split(documented[strings.Index(documented, "|---|"):], "\n")
	for i, row := range cells {
		fields := strings.Split(lines[i+1], "|")
		for j := range options[:i+1] {
			whole = whole && row[j] != cellUnknown
			if got := strings.TrimSpace(fields[j+2]); row[j] != cellUnknown && got != row[j] {
				t.Errorf("%s and %s: %q, the table has %q", options[i].name, options[j].name, row[j], got)
			}
		}
	}
	if whole && !haveKeys() && text != documented {
		t.Error("docs/region/pairs.md is not what this test writes: run go generate ./region")
	}
}
