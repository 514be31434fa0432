package probe

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/host"
)

// Schema names the JSON form of a [Report]. A change that could break a reader gets a new
// name; fields may be added under the same one. The JSON Schema is in
// docs/schema/probes-v1.json.
const Schema = "safevma.probes/v1"

// Report is what a run found.
type Report struct {
	Schema    string           `json:"schema"`
	Tool      guarantee.Tool   `json:"tool"`
	Host      guarantee.Host   `json:"host"`
	Window    guarantee.Window `json:"window"`
	Probes    []Result         `json:"probes"`
	Summary   Summary          `json:"summary"`
	Footprint Footprint        `json:"footprint"`
}

// Summary counts the results of a report.
type Summary struct {
	Confirmed int `json:"confirmed"`
	Refuted   int `json:"refuted"`
	Unknown   int `json:"unknown"`
}

// Footprint is what a run leaves until the next boot: big pages of the kernel's linear map
// that were split.
type Footprint struct {
	// SecretPages is how many pages of secret memory the probes had at most at once, by
	// what they declared; SecretLimit how many they may have.
	SecretPages int `json:"secret_pages"`
	SecretLimit int `json:"secret_limit"`
	// LinearMapBefore and LinearMapAfter say in bytes how much of the linear map is in
	// pages of which size, where the kernel tells. Others may have split it, too.
	LinearMapBefore map[string]uint64 `json:"linear_map_before,omitempty"`
	LinearMapAfter  map[string]uint64 `json:"linear_map_after,omitempty"`
}

func summarize(results []Result) Summary {
	var s Summary
	for i := range results {
		switch results[i].Outcome {
		case Confirmed:
			s.Confirmed++
		case Refuted:
			s.Refuted++
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

// ReadJSON reads a report that [Report.WriteJSON] wrote.
func ReadJSON(r io.Reader) (*Report, error) {
	var report Report
	dec := json.NewDecoder(r)
	if err := dec.Decode(&report); err != nil {
		return nil, err
	}
	if report.Schema != Schema {
		return nil, fmt.Errorf("schema %q, want %q", guarantee.Text(report.Schema), Schema)
	}
	if dec.More() {
		return nil, fmt.Errorf("more than one document, from byte %d on", dec.InputOffset())
	}
	return &report, report.validate()
}

// validate checks what a comparison hangs on.
func (r *Report) validate() error {
	seen := map[string]bool{}
	for i := range r.Probes {
		p := &r.Probes[i]
		switch {
		case seen[p.ID]:
			return fmt.Errorf("probes[%d]: %q is there twice", i, p.ID)
		case p.Outcome != Confirmed && p.Outcome != Refuted && p.Outcome != Unknown:
			return fmt.Errorf("probes[%d] (%q): outcome %q, want %s, %s or %s", i, p.ID, p.Outcome, Confirmed, Refuted, Unknown)
		}
		seen[p.ID] = true
	}
	return nil
}

func directMap(f *host.Facts) map[string]uint64 {
	sizes, err := f.Zones.DirectMap.Get()
	if err != nil {
		return nil
	}
	return sizes
}
