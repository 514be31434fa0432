package audit

import (
	"fmt"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/rules"
)

// rawMax bounds how many raw observations a verdict shows; Total counts all of them.
const rawMax = 32

// tally sums up the results of one rule on the many parts of one subject, such as the
// mappings of a process: broken where any is, else unknown where any is.
type tally struct {
	holds  string // what is said where nothing was found
	source guarantee.Observation

	broken, unknown, allowed part
}

// part is what was seen with one status.
type part struct {
	first rules.Result
	raw   []string
	total int
}

func newTally(holds string, source guarantee.Observation) *tally {
	return &tally{holds: holds, source: source}
}

// add takes in the result on one part. It asks what was seen of it where that is shown.
func (t *tally) add(r rules.Result, raw func() string) {
	var p *part
	switch r.Status {
	case guarantee.Broken:
		p = &t.broken
	case guarantee.Unknown:
		p = &t.unknown
	case guarantee.NotApplicable:
		p = &t.allowed
	default:
		return
	}
	if p.total++; p.total == 1 {
		p.first = r
	}
	if len(p.raw) < rawMax {
		p.raw = append(p.raw, raw())
	}
}

// outcome returns the result on the whole.
func (t *tally) outcome() (rules.Result, guarantee.Observation) {
	p := &t.broken
	switch {
	case t.broken.total > 0:
	case t.unknown.total > 0:
		p = &t.unknown
	case t.allowed.total > 0:
		p = &t.allowed
	default:
		return rules.Result{Status: guarantee.Holds, Message: t.holds}, t.source
	}
	observation := t.source
	observation.Raw, observation.Total = p.raw, p.total
	result := p.first
	if p.total > 1 {
		result.Message += fmt.Sprintf(" (and %d more)", p.total-1)
	}
	return result, observation
}
