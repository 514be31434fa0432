package feature

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/lab/machine"
)

// Format is the name of the JSON form of [Report]. Within it fields may be added;
// anything that could break a reader gets a new name.
const Format = "safevma.features/v1"

// Report is what one kernel on one machine can do. As JSON:
//
//	{
//	  "format": "safevma.features/v1",
//	  "kernel": "6.12.95+deb12-amd64",     uname -r
//	  "arch": "amd64",                     as GOARCH
//	  "machine": { … },                    of package machine; missing outside the lab
//	  "features": [ {
//	    "feature": "map-sync",
//	    "answer": "present",               present, absent or unknown
//	    "observed": "…",                   what the kernel answered, for a person
//	    "errno": "EPERM",                  the errno that decided; missing where none did
//	    "control": "…",                    what went the other way, for a person
//	    "expected": true,                  of this lab machine; missing outside the lab
//	    "why": "…"                         why it is expected, or not; missing outside
//	  } ]
//	}
//
// Features are in the order of [All].
type Report struct {
	Format   string           `json:"format"`
	Kernel   string           `json:"kernel"`
	Arch     string           `json:"arch"`
	Machine  *machine.Machine `json:"machine,omitempty"`
	Features []Row            `json:"features"`
}

// Row is one feature of a report.
type Row struct {
	Result
	Expected *bool  `json:"expected,omitempty"`
	Why      string `json:"why,omitempty"`
}

// ProbeAll probes every feature. It takes seconds, in an emulated lab a minute.
func ProbeAll() (Report, error) {
	name, err := sys.Uname()
	if err != nil {
		return Report{}, err
	}
	report := Report{Format: Format, Kernel: name.Release, Arch: runtime.GOARCH}
	here, inside, err := machine.Here()
	if err != nil {
		return Report{}, err
	}
	if inside {
		report.Machine = &here
	}
	for _, f := range All() {
		row := Row{Result: f.Probe()}
		if inside {
			expected, why := f.Expected(here)
			row.Expected, row.Why = &expected, why
		}
		report.Features = append(report.Features, row)
	}
	return report, nil
}

// Text writes the report as a table for a person.
func (r Report) Text(w io.Writer) error {
	fmt.Fprintf(w, "%s (%s)\n\n", r.Kernel, r.Arch)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FEATURE\tANSWER\tEXPECTED\tOBSERVED\tCONTROL")
	for _, row := range r.Features {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", row.Feature, row.Answer, row.expectation(), dash(row.Observed), dash(row.Control))
	}
	return table.Flush()
}

func (r Row) expectation() string {
	switch {
	case r.Expected == nil:
		return "-"
	case *r.Expected:
		return "yes"
	}
	return "no: " + r.Why
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return strings.ReplaceAll(text, "\n", " ")
}

// Matrix writes reports of several kernels as one table in Markdown: a line for each
// feature, a column for each kernel. What a report lacks is a dash.
func Matrix(w io.Writer, reports []Report) error {
	var b strings.Builder
	b.WriteString("| feature |")
	for _, r := range reports {
		fmt.Fprintf(&b, " %s (%s) |", r.Kernel, r.Arch)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(reports)) + "\n")
	for _, f := range All() {
		fmt.Fprintf(&b, "| %s: %s |", f.Name, f.Title)
		for _, r := range reports {
			fmt.Fprintf(&b, " %s |", r.answer(f.Name))
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Report) answer(name string) string {
	for _, row := range r.Features {
		if row.Feature != name {
			continue
		}
		if row.Answer == Absent && row.Errno != "" {
			return fmt.Sprintf("absent (%s)", row.Errno)
		}
		return string(row.Answer)
	}
	return "-"
}
