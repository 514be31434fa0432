package guarantee

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Schema names the JSON form of a [Report]. A change that could break a reader
// gets a new name; fields may be added under the same one. The JSON Schema is in
// docs/schema/verdicts-v1.json.
const Schema = "safevma.verdicts/v1"

// Tool says what made a report.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Host is the kernel and the boot that a report speaks of.
type Host struct {
	Name    string `json:"name"`
	Kernel  string `json:"kernel"`  // release, as uname -r says it
	Version string `json:"version"` // build, as uname -v says it
	Machine string `json:"machine"` // architecture, as uname -m says it
	BootID  string `json:"boot_id"` // /proc/sys/kernel/random/boot_id
}

// Coverage says what was looked at, so that a short report is never mistaken for a
// clean host.
type Coverage struct {
	Processes     int `json:"processes"`      // with an address space of their own, read in full
	KernelThreads int `json:"kernel_threads"` // have no address space
	VMAs          int `json:"vmas"`
	// Gone lists processes that ended, or became another program, while they were
	// read; Denied those that the kernel did not let us read; Failed those whose
	// reading made no sense.
	Gone   []Missed `json:"gone"`
	Denied []Missed `json:"denied"`
	Failed []Missed `json:"failed"`
}

// Missed is a process that could not be looked at.
type Missed struct {
	PID    int    `json:"pid"`
	Name   string `json:"name,omitempty"`
	Reason string `json:"reason"`
}

// Summary counts the verdicts of a report.
type Summary struct {
	Holds         int       `json:"holds"`
	Broken        int       `json:"broken"`
	Unknown       int       `json:"unknown"`
	NotApplicable int       `json:"not_applicable"`
	Coverage      *Coverage `json:"coverage,omitempty"`
}

// Report is what a command that proves writes.
type Report struct {
	Schema   string    `json:"schema"`
	Tool     Tool      `json:"tool"`
	Host     Host      `json:"host"`
	Window   Window    `json:"window"`
	Verdicts []Verdict `json:"verdicts"`
	Summary  Summary   `json:"summary"`
}

// NewReport counts the verdicts and checks each: a report never holds a verdict
// that breaks the rules of this package. Coverage may be nil.
func NewReport(tool Tool, host Host, window Window, verdicts []Verdict, coverage *Coverage) (*Report, error) {
	r := &Report{Schema: Schema, Tool: tool, Host: host, Window: window, Verdicts: verdicts}
	if r.Verdicts == nil {
		r.Verdicts = []Verdict{}
	}
	r.Summary = Summarize(verdicts)
	r.Summary.Coverage = coverage
	for i := range verdicts {
		if err := verdicts[i].Validate(); err != nil {
			return nil, fmt.Errorf("verdict %d: %w", i, err)
		}
	}
	return r, nil
}

// Summarize counts verdicts by status.
func Summarize(verdicts []Verdict) Summary {
	var s Summary
	for i := range verdicts {
		switch verdicts[i].Status {
		case Holds:
			s.Holds++
		case Broken:
			s.Broken++
		case NotApplicable:
			s.NotApplicable++
		default:
			s.Unknown++
		}
	}
	return s
}

// WriteJSON writes the report as indented JSON with a final newline.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// Since makes the window from a start until now.
func Since(from time.Time) Window { return Window{From: from.UTC(), To: time.Now().UTC()} }
