package probe

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/safevma/safevma/guarantee"
)

// DiffSchema names the JSON form of a [Ledger].
const DiffSchema = "safevma.probe-ledger/v1"

// Ledger holds what several kernels said to the same claims.
type Ledger struct {
	Schema string           `json:"schema"`
	Hosts  []guarantee.Host `json:"hosts"`
	Rows   []LedgerRow      `json:"rows"`
}

// LedgerRow is one probe on all kernels.
type LedgerRow struct {
	ID    string `json:"id"`
	Row   string `json:"row,omitempty"`
	Claim string `json:"claim"`
	// Cells are in the order of [Ledger.Hosts]; one whose outcome is empty was not run there.
	Cells []LedgerCell `json:"cells"`
	// Differs is true where kernels that could be measured said different things.
	Differs bool `json:"differs"`
	// Why says what made them differ, where that is known.
	Why string `json:"why,omitempty"`
}

// LedgerCell is what one kernel said.
type LedgerCell struct {
	Outcome Outcome  `json:"outcome"`
	Got     []Answer `json:"got,omitempty"` // by the objects of the claim
	Reason  *Reason  `json:"reason,omitempty"`
}

// Compare makes a ledger of reports. Its rows are in the order of the catalogue; probes
// that this version does not know come last.
func Compare(reports ...*Report) *Ledger {
	l := &Ledger{Schema: DiffSchema, Rows: []LedgerRow{}, Hosts: []guarantee.Host{}}
	var ids []string
	for _, p := range Catalogue() {
		ids = append(ids, p.ID)
	}
	for _, r := range reports {
		l.Hosts = append(l.Hosts, r.Host)
		for i := range r.Probes {
			if id := r.Probes[i].ID; !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	for _, id := range ids {
		if row, ok := compareOne(id, reports); ok {
			l.Rows = append(l.Rows, row)
		}
	}
	return l
}

// compareOne makes a row; false where no report has the probe.
func compareOne(id string, reports []*Report) (LedgerRow, bool) {
	row := LedgerRow{ID: id, Cells: make([]LedgerCell, len(reports))}
	found := false
	for i, r := range reports {
		at := slices.IndexFunc(r.Probes, func(p Result) bool { return p.ID == id })
		if at < 0 {
			continue
		}
		p := &r.Probes[at]
		found, row.Claim, row.Row = true, p.Claim, p.Row
		row.Cells[i] = LedgerCell{Outcome: p.Outcome, Reason: p.Reason}
		for _, e := range p.Experiments {
			row.Cells[i].Got = append(row.Cells[i].Got, e.Got)
		}
	}
	row.Differs = row.differs()
	if row.Differs {
		row.Why = differences[id]
	}
	return row, found
}

// differs compares the cells that were measured; where a kernel lacks the thing, that is a
// difference, too.
func (r *LedgerRow) differs() bool {
	var first string
	for i := range r.Cells {
		c := &r.Cells[i]
		if c.Outcome == "" || c.Outcome == Unknown && c.why() != Missing {
			continue
		}
		said := c.String()
		if c.Outcome == Unknown {
			said = string(Missing)
		}
		if first == "" {
			first = said
		}
		if said != first {
			return true
		}
	}
	return false
}

// why may be missing in a file that somebody else wrote.
func (c *LedgerCell) why() Why {
	if c.Reason == nil {
		return Failed
	}
	return c.Reason.Why
}

// String says it in a few words: "refuted: ok".
func (c *LedgerCell) String() string {
	switch {
	case c.Outcome == "":
		return "not run"
	case c.Outcome == Unknown:
		return fmt.Sprintf("unknown: %s", c.why())
	case len(c.Got) == 0:
		return string(c.Outcome)
	}
	return string(c.Outcome) + ": " + join(c.Got)
}

// Differing returns the ledger with the rows alone in which kernels differ.
func (l *Ledger) Differing() *Ledger {
	d := *l
	d.Rows = slices.DeleteFunc(slices.Clone(l.Rows), func(r LedgerRow) bool { return !r.Differs })
	return &d
}

// WriteJSON writes the ledger as indented JSON with a final newline.
func (l *Ledger) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(l)
}

// WriteMarkdown writes the ledger as tables: what differs, with the reasons that are known,
// then the rest, by subject.
func (l *Ledger) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	head := "| probe | claim |"
	for _, h := range l.Hosts {
		head += " " + cell(h.Kernel+" ("+h.Machine+")") + " |"
	}
	rule := "|---|---|" + strings.Repeat("---|", len(l.Hosts))
	row := func(r *LedgerRow) {
		fmt.Fprintf(&b, "| `%s` | %s |", cell(r.ID), cell(r.Claim))
		for i := range r.Cells {
			fmt.Fprintf(&b, " %s |", cell(r.Cells[i].String()))
		}
		b.WriteString("\n")
	}
	differing := l.Differing()
	fmt.Fprintf(&b, "## What differs\n\n%s\n%s\n", head, rule)
	for i := range differing.Rows {
		row(&differing.Rows[i])
	}
	b.WriteString("\nWhy:\n\n")
	for _, r := range differing.Rows {
		why := r.Why
		if why == "" {
			why = "not explained yet"
		}
		fmt.Fprintf(&b, "- `%s`: %s.\n", cell(r.ID), why)
	}
	same := func(of Subject, title string) {
		fmt.Fprintf(&b, "\n## The same: %s\n\n%s\n%s\n", title, head, rule)
		for i := range l.Rows {
			if p, _ := Find(l.Rows[i].ID); p.Subject == of && !l.Rows[i].Differs {
				row(&l.Rows[i])
			}
		}
	}
	for _, subject := range Subjects() {
		same(subject, string(subject))
	}
	if slices.ContainsFunc(l.Rows, func(r LedgerRow) bool { _, known := Find(r.ID); return !known && !r.Differs }) {
		same("", "probes that this version does not have")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cell makes text of a file that anybody may have written fit for a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "`", "'").Replace(guarantee.Text(strings.ReplaceAll(text, "\n", " ")))
}
