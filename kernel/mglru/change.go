package mglru

import (
	"encoding/json"
	"io"

	"github.com/safevma/safevma/guarantee"
)

// ChangeSchema names the JSON form of a [Change].
const ChangeSchema = "safevma.mglru-change/v1"

// Change is what was done, or with DryRun would be.
type Change struct {
	Window   guarantee.Window
	DryRun   bool
	PageSize uint64
	Outcomes []Outcome
}

// Planned is a change that is not carried out.
func Planned(steps []Step) *Change {
	c := &Change{DryRun: true}
	for _, s := range steps {
		c.Outcomes = append(c.Outcomes, Outcome{Step: s})
	}
	return c
}

// Failed is how many commands were not carried out.
func (c *Change) Failed() (n int) {
	for i := range c.Outcomes {
		if c.Outcomes[i].Err != nil {
			n++
		}
	}
	return n
}

type jsonStep struct {
	Memcg   uint64    `json:"memcg"`
	Path    string    `json:"path"`
	Node    int       `json:"node"`
	Command *string   `json:"command"`
	Why     string    `json:"why,omitempty"`
	Before  jsonNode  `json:"before"`
	After   *jsonNode `json:"after"`
	Error   string    `json:"error,omitempty"`
}

// WriteJSON writes the change: ages in milliseconds, sizes in pages.
func (c *Change) WriteJSON(w io.Writer) error {
	out := struct {
		Schema   string           `json:"schema"`
		Window   guarantee.Window `json:"window"`
		DryRun   bool             `json:"dry_run"`
		PageSize uint64           `json:"page_size"`
		Steps    []jsonStep       `json:"steps"`
	}{ChangeSchema, c.Window, c.DryRun, c.PageSize, []jsonStep{}}
	for i := range c.Outcomes {
		out.Steps = append(out.Steps, c.Outcomes[i].json())
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

func (o *Outcome) json() jsonStep {
	s := jsonStep{Memcg: o.Memcg, Path: guarantee.Text(o.Path), Node: o.Before.ID, Why: o.Why, Before: o.Before.json()}
	if o.Command != nil {
		text := o.Command.String()
		s.Command = &text
	}
	if o.After != nil {
		after := o.After.json()
		s.After = &after
	}
	if o.Err != nil {
		s.Error = guarantee.Text(o.Err.Error())
	}
	return s
}
