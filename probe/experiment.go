package probe

import (
	"fmt"
	"slices"
)

// experiment is one attempt, made on the object that a claim speaks of and on objects of
// which the answer is known.
type experiment[T any] struct {
	try      string         // what is attempted: "process_vm_readv"
	do       func(T) Answer // attempts it
	on       string         // "a page of secret memory"
	subject  T
	confirms []Answer // by the subject: they confirm the claim
	refutes  []Answer // they refute it
	controls []control[T]
}

// control is an object of which the answer is known.
type control[T any] struct {
	on     string
	object T
	want   Answer
}

// sabotage says how the controls of a run are broken on purpose. It is for the test that
// every probe says "unknown" then.
type sabotage string

const (
	// swapped gives each control the object of the claim instead of its own: the
	// experimenter has mixed the samples up.
	swapped sabotage = "swapped"
	// deaf has each control hear nothing: the instrument is broken.
	deaf sabotage = "deaf"
)

// compare makes an attempt on the subject and on the controls, in this order, and
// concludes. It returns the answer of the subject.
//
// The conclusion is unknown unless every control gave the answer that was expected of it,
// and at least one of them another answer than the subject: by that the attempt was seen,
// in this process, to tell the two apart. It follows that a mix-up of the objects can't go
// unnoticed, since that control would then give the answer of the subject.
func compare[T any](t *trial, e experiment[T]) Answer {
	r := ExperimentResult{Try: e.try, On: e.on, Confirms: list(e.confirms), Refutes: list(e.refutes)}
	r.Got = e.do(e.subject)
	differs := false
	for _, c := range e.controls {
		got := t.controlAnswer(func() Answer { return e.do(c.object) }, func() Answer { return e.do(e.subject) })
		r.Controls = append(r.Controls, ControlResult{On: c.on, Want: c.want, Got: got, Passed: got == c.want})
		differs = differs || c.want != r.Got
	}
	r.conclude(differs)
	t.tell(event{Experiment: &r})
	return r.Got
}

func list(answers []Answer) []Answer { return append([]Answer{}, answers...) }

func (r *ExperimentResult) conclude(differs bool) {
	unknown := func(why Why, format string, args ...any) {
		r.Outcome, r.Reason = Unknown, &Reason{why, fmt.Sprintf(format, args...)}
	}
	for _, c := range r.Controls {
		if !c.Passed {
			unknown(NoControl, "%s on %s: control gave %s, not %s", r.Try, c.On, c.Got, c.Want)
			return
		}
	}
	confirms, refutes := slices.Contains(r.Confirms, r.Got), slices.Contains(r.Refutes, r.Got)
	switch {
	case confirms == refutes:
		unknown(Ambiguous, "%s on %s: %s neither confirms (%s) nor refutes (%s)", r.Try, r.On, r.Got, join(r.Confirms),
			join(r.Refutes))
	case !differs:
		unknown(NoControl, "%s on %s: no control has an answer other than %s", r.Try, r.On, r.Got)
	case confirms:
		r.Outcome = Confirmed
	default:
		r.Outcome = Refuted
	}
}
