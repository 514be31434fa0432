package damon

import (
	"fmt"

	"github.com/safevma/safevma/guarantee"
)

// The schemas of the reports.
const (
	LintSchema    = "safevma.damon-lint/v1"
	ExplainSchema = "safevma.damon-explain/v1"
)

// LintReport is what [Lint] found, with the numbers of each severity.
type LintReport struct {
	Schema   string    `json:"schema"`
	Schemes  int       `json:"schemes"` // how many were looked at
	Findings []Finding `json:"findings"`
	Errors   int       `json:"errors"`
	Warnings int       `json:"warnings"`
	Notes    int       `json:"notes"`
}

// NewLintReport runs [Lint].
func NewLintReport(kdamonds []Kdamond) *LintReport {
	r := &LintReport{Schema: LintSchema, Findings: Lint(kdamonds)}
	for _, k := range kdamonds {
		for _, c := range k.Contexts {
			r.Schemes += len(c.Schemes)
		}
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		f.What = guarantee.Text(f.What)
		switch f.Severity {
		case Failure:
			r.Errors++
		case Warning:
			r.Warnings++
		case Note:
			r.Notes++
		}
	}
	return r
}

// ExplainReport is what each scheme does with a page.
type ExplainReport struct {
	Schema  string            `json:"schema"`
	Page    string            `json:"page"` // in the words of [ParsePage]
	Schemes []SchemeExplained `json:"schemes"`
}

// SchemeExplained is one of them.
type SchemeExplained struct {
	File       string     `json:"file"` // below the directory of the kdamonds
	State      State      `json:"state"`
	Operations Operations `json:"operations"`
	Action     Action     `json:"action"`
	Verdict    Verdict    `json:"verdict"`
	// By is the directory of the filter that decides; "kernel" for the kernel's own, and
	// empty where none does.
	By    string          `json:"by,omitempty"`
	Why   string          `json:"why"`
	Needs []string        `json:"needs,omitempty"`
	Steps []StepExplained `json:"steps"`
}

// StepExplained is a filter that was asked.
type StepExplained struct {
	File    string `json:"file"`
	Layer   Layer  `json:"layer"`
	Filter  string `json:"filter"`
	Matches *bool  `json:"matches"` // null where that is not known
}

func (p *Placed) name() string {
	if p.File == "" {
		return "kernel"
	}
	return p.File
}

// NewExplainReport explains a page for all schemes of all kdamonds, also those that are off.
func NewExplainReport(kdamonds []Kdamond, page Page) *ExplainReport {
	r := &ExplainReport{Schema: ExplainSchema, Page: guarantee.Text(page.String()), Schemes: []SchemeExplained{}}
	for n, k := range kdamonds {
		for i, c := range k.Contexts {
			for j := range c.Schemes {
				one := explained(&c.Schemes[j], c.Operations, page)
				one.File, one.State = fmt.Sprintf("%d/contexts/%d/schemes/%d", n, i, j), clean(k.State)
				r.Schemes = append(r.Schemes, one)
			}
		}
	}
	return r
}

func explained(s *Scheme, by Operations, page Page) SchemeExplained {
	e := s.Explain(by, page)
	one := SchemeExplained{Operations: clean(by), Action: clean(s.Action), Verdict: e.Verdict, Why: guarantee.Text(e.Why),
		Needs: e.Needs, Steps: []StepExplained{}}
	if e.By != nil {
		one.By = e.By.name()
	}
	for _, step := range e.Steps {
		one.Steps = append(one.Steps, StepExplained{step.Filter.name(), step.Filter.Layer,
			guarantee.Text(step.Filter.String()), step.Matches})
	}
	return one
}

// clean escapes a word: those of a file may be anything.
func clean[T ~string](word T) T { return T(guarantee.Text(word)) }
