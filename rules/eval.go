package rules

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/safevma/safevma/guarantee"
)

// Result is what a rule says of one set of facts.
type Result struct {
	// Status is broken where the rule fires; holds where it was evaluated and does not;
	// unknown where a fact is missing or the evaluation failed; and not applicable where
	// the subject is not declared, or an exception allows the finding.
	Status guarantee.Status
	// Message says why, in one sentence. It is empty where the rule holds.
	Message string
	// Allowed is the reason of the exception that allows what was found.
	Allowed string
	// Missing names the unknown facts that the outcome waits for, each with the reason:
	// "vma.foreign_pages: permission denied". Where the status is broken, it is the
	// exceptions that could not be decided.
	Missing []string
	// Err is why an expression could not be evaluated; [ErrCost] where it was stopped.
	Err error
}

// Eval applies the rule. The facts of the rule's subject must be there; other facts that
// are not are unknown.
func (r *Rule) Eval(f *Facts) Result {
	if _, there := f.unknown(r.Subject); !there {
		return unknownResult([]string{string(r.Subject) + ": no such facts were read"}, nil)
	}
	if r.Declared && !f.declared(r.Subject) {
		return Result{Status: guarantee.NotApplicable, Message: "asked of declared subjects only"}
	}
	if r.Subject == SubjectVMA && !r.Filter.Empty() {
		passes, missing := r.tryFilter(f.VMA)
		if !passes && missing == nil {
			return Result{Status: guarantee.Holds}
		}
		if !passes {
			return r.undecided(f, missing)
		}
	}
	input, err := r.input(f)
	if err != nil {
		return unknownResult(nil, err)
	}
	status, missing, err := r.when.decide(f, input)
	switch status {
	case guarantee.Holds:
		return Result{Status: status}
	case guarantee.Broken:
		return r.broken(f, input)
	}
	return unknownResult(missing, err)
}

// undecided is the outcome where the filter could not be decided: it still holds where
// the expression is false.
func (r *Rule) undecided(f *Facts, filter []need) Result {
	input, err := r.input(f)
	if err != nil {
		return unknownResult(nil, err)
	}
	status, missing, err := r.when.decide(f, input)
	if status == guarantee.Holds {
		return Result{Status: status}
	}
	for _, n := range filter {
		missing = append(missing, n.String()+": "+f.VMA.Unknown[n.fact])
	}
	slices.Sort(missing)
	return unknownResult(slices.Compact(missing), err)
}

// broken looks for an exception, and makes the message.
func (r *Rule) broken(f *Facts, input any) Result {
	result := Result{Status: guarantee.Broken}
	for i := range r.Allow {
		status, missing, err := r.Allow[i].when.decide(f, input)
		switch status {
		case guarantee.Broken:
			return Result{Status: guarantee.NotApplicable, Allowed: r.Allow[i].Reason, Message: "allowed: " + r.Allow[i].Reason}
		case guarantee.Unknown:
			result.Missing = append(result.Missing, missing...)
			result.Err = err
		}
	}
	result.Message = r.message.fill(input)
	return result
}

// decide evaluates a condition: broken where it is true, holds where it is false.
func (e *expression) decide(f *Facts, input any) (guarantee.Status, []string, error) {
	v, err := e.eval(input)
	if err != nil {
		return guarantee.Unknown, nil, err
	}
	switch v := v.(type) {
	case types.Bool:
		if v {
			return guarantee.Broken, nil, nil
		}
		return guarantee.Holds, nil, nil
	case *types.Unknown:
		return guarantee.Unknown, f.missing(v), nil
	}
	return guarantee.Unknown, nil, fmt.Errorf("the expression is of type %s", v.Type().TypeName())
}

// unknownResult says what kept a rule from a decision.
func unknownResult(missing []string, err error) Result {
	result := Result{Status: guarantee.Unknown, Missing: missing, Err: err}
	switch {
	case err != nil:
		result.Message = printable("could not be evaluated: " + err.Error())
	default:
		result.Message = printable("could not be decided without " + strings.Join(missing, "; "))
	}
	return result
}

// input returns what CEL evaluates on: the facts alone where all that the rule needs is
// known, else with the patterns of what is not.
func (r *Rule) input(f *Facts) (any, error) {
	var patterns []*cel.AttributePatternType
	for _, n := range r.needs {
		unknown, there := f.unknown(n.subject)
		switch {
		case !there:
			patterns = append(patterns, r.unknown[n])
		case len(unknown) > 0:
			patterns = r.appendUnknown(patterns, n, unknown)
		}
	}
	if patterns == nil {
		return (*activation)(f), nil
	}
	return cel.PartialVars((*activation)(f), patterns...)
}

// appendUnknown adds the pattern of a fact that is unknown, or of its unknown entries.
func (r *Rule) appendUnknown(patterns []*cel.AttributePatternType, n need, unknown map[string]string) []*cel.AttributePatternType {
	if _, ok := unknown[n.fact]; ok {
		return append(patterns, r.unknown[n])
	}
	if !n.isMap {
		return patterns
	}
	for name := range unknown {
		if key, ok := strings.CutPrefix(name, n.fact+"."); ok {
			patterns = append(patterns, n.pattern().QualString(key))
		}
	}
	return patterns
}

func (n need) pattern() *cel.AttributePatternType {
	return cel.AttributePattern(string(n.subject)).QualString(n.fact)
}
