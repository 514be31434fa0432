package probe

import (
	"time"

	"github.com/safevma/safevma/guarantee"
)

// Outcome is what a probe says of its claim.
type Outcome string

// The outcomes. What could not be measured is [Unknown], never a kind of success.
const (
	Confirmed Outcome = "confirmed"
	Refuted   Outcome = "refuted"
	Unknown   Outcome = "unknown"
)

// Why says of what kind the reason of an unknown outcome is.
type Why string

// The kinds of reasons.
const (
	// Missing: the kernel or the machine lacks what the claim speaks of.
	Missing Why = "missing"
	// Privilege: the caller may not do it.
	Privilege Why = "privilege"
	// NoControl: a control did not give its answer, or none could have given another.
	NoControl Why = "control"
	// Ambiguous: the answer neither confirms nor refutes.
	Ambiguous Why = "ambiguous"
	// Hung: it did not end in time.
	Hung Why = "hung"
	// Crashed: its process was killed or ended without a word.
	Crashed Why = "crashed"
	// Failed: the experiment could not be set up.
	Failed Why = "failed"
)

// Reason says why an outcome is unknown.
type Reason struct {
	Why    Why    `json:"why"`
	Detail string `json:"detail"`
}

// ControlResult is one control of an experiment.
type ControlResult struct {
	On     string `json:"on"` // the object
	Want   Answer `json:"want"`
	Got    Answer `json:"got"`
	Passed bool   `json:"passed"`
}

// ExperimentResult is one attempt, on the object of the claim and on its controls.
type ExperimentResult struct {
	Try      string          `json:"try"` // what was attempted
	On       string          `json:"on"`  // the object that the claim speaks of
	Got      Answer          `json:"got"`
	Confirms []Answer        `json:"confirms"`
	Refutes  []Answer        `json:"refutes"`
	Controls []ControlResult `json:"controls"`
	Outcome  Outcome         `json:"outcome"`
	Reason   *Reason         `json:"reason,omitempty"`
}

// Note is something that was seen and that decides nothing: what differs between kernels
// and machines, such as a time.
type Note struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Result is what one probe found.
type Result struct {
	ID          string             `json:"id"`
	Subject     Subject            `json:"subject"`
	Claim       string             `json:"claim"`
	Source      string             `json:"source"`
	Row         string             `json:"row,omitempty"`
	Requirement string             `json:"requirement,omitempty"`
	Outcome     Outcome            `json:"outcome"`
	Reason      *Reason            `json:"reason,omitempty"`
	Experiments []ExperimentResult `json:"experiments"`
	Notes       []Note             `json:"notes,omitempty"`
	Window      guarantee.Window   `json:"window"`
	// SecretPages is how many pages of secret memory it had at most at once.
	SecretPages int                `json:"secret_pages,omitempty"`
	Verdict     *guarantee.Verdict `json:"verdict,omitempty"`
}

// Seconds returns how long the probe took.
func (r *Result) Seconds() float64 {
	return r.Window.To.Sub(r.Window.From).Round(time.Microsecond).Seconds()
}

// settle makes the outcome of a probe from those of its experiments: one that is refuted
// refutes, and all must confirm.
func (r *Result) settle() {
	if r.Reason != nil {
		r.Outcome = Unknown
		return
	}
	if len(r.Experiments) == 0 {
		r.Outcome, r.Reason = Unknown, &Reason{Crashed, "it ended without an answer"}
		return
	}
	r.Outcome = Confirmed
	for i := range r.Experiments {
		switch e := &r.Experiments[i]; {
		case e.Outcome == Refuted:
			r.Outcome, r.Reason = Refuted, nil
			return
		case e.Outcome == Unknown && r.Outcome == Confirmed:
			r.Outcome, r.Reason = Unknown, e.Reason
		}
	}
}
