package probe

import (
	"fmt"

	"github.com/safevma/safevma/guarantee"
)

// observed are at most this many raw lines of a verdict.
const observed = 32

// verdict is what the outcome of a probe says of its requirement; nil where it has none.
func (s *session) verdict(p *Probe, r *Result) *guarantee.Verdict {
	if p.Requirement == "" {
		return nil
	}
	v := &guarantee.Verdict{
		Requirement: p.Requirement, Rule: p.ID, Severity: p.Severity, Method: guarantee.Probe,
		Subject: guarantee.Subject{Kind: guarantee.KindHost, Name: s.host.Name},
		Window:  r.Window, Remedy: p.Remedy, References: []string{p.Source},
		Control: r.control(), Observation: r.observation(), Status: guarantee.Unknown,
	}
	switch {
	case r.Outcome == Unknown:
		v.Message = fmt.Sprintf("%s: unknown (%s: %s)", p.Claim, r.Reason.Why, r.Reason.Detail)
	case r.Outcome == p.Good:
		v.Status, v.Message = guarantee.Holds, fmt.Sprintf("%s: %s", p.Claim, r.Outcome)
	default:
		v.Status, v.Message = guarantee.Broken, fmt.Sprintf("%s: %s", p.Claim, r.Outcome)
	}
	return v
}

func (r *Result) observation() guarantee.Observation {
	o := guarantee.Observation{Source: "probe " + r.ID, Total: len(r.Experiments)}
	for i := range r.Experiments {
		if e := &r.Experiments[i]; len(o.Raw) < observed {
			o.Raw = append(o.Raw, fmt.Sprintf("%s on %s: %s", e.Try, e.On, e.Got))
		}
	}
	return o
}

// control sums the controls up: passed where all of those were that count for the outcome.
func (r *Result) control() guarantee.Control {
	c := guarantee.Control{Status: guarantee.ControlAbsent, Detail: "no control was run"}
	if r.Outcome == Unknown && r.Reason.Why == NoControl {
		return guarantee.Control{Status: guarantee.ControlFailed, Detail: r.Reason.Detail}
	}
	for i := range r.Experiments {
		e := &r.Experiments[i]
		if r.Outcome != Unknown && e.Outcome != r.Outcome || len(e.Controls) == 0 {
			continue
		}
		first := e.Controls[0]
		c.Detail = fmt.Sprintf("%s on %s: %s", e.Try, first.On, first.Got)
		if e.Outcome != Unknown {
			c.Status = guarantee.ControlPassed
			break
		}
	}
	return c
}
