package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// expression is one compiled CEL expression.
type expression struct {
	text  string
	typ   *cel.Type
	needs []need // each once, in the order of first use
	prog  cel.Program
}

// need is a fact that an expression reads.
type need struct {
	subject Subject
	fact    string
	isMap   bool // so that an entry of it can be unknown
}

func newNeed(s Subject, name string) need {
	fact, _ := factOf(s, name)
	return need{subject: s, fact: name, isMap: fact.isMap()}
}

func (n need) String() string { return string(n.subject) + "." + n.fact }

// complaint is a fault at an offset, in characters, of an expression.
type complaint struct {
	offset int
	reason string
}

// compile parses, type-checks and lints an expression about the subject. It returns
// either the expression or complaints.
func compile(s Subject, text string) (*expression, []complaint) {
	env, err := environments[s]()
	if err != nil {
		return nil, []complaint{{reason: err.Error()}}
	}
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, celComplaints(s, text, issues)
	}
	l := lint(s, ast.NativeRep())
	if len(l.complaints) > 0 {
		return nil, l.complaints
	}
	prog, err := env.Program(ast, programOptions(l.loops)...)
	if err != nil {
		return nil, []complaint{{reason: err.Error()}}
	}
	return &expression{text: text, typ: ast.OutputType(), needs: l.needs, prog: prog}, nil
}

func celComplaints(s Subject, text string, issues *cel.Issues) []complaint {
	var all []complaint
	for _, e := range issues.Errors() {
		reason := strings.TrimSpace(e.Message)
		switch {
		case strings.HasPrefix(reason, "undefined field"):
			reason += nearField(s, reason)
		case strings.HasPrefix(reason, "undeclared reference"):
			reason += fmt.Sprintf(": a rule about %s knows %s", s, list(s.variables()))
		case strings.HasPrefix(reason, "invalid matches argument"):
			reason = "this is no regular expression, or a very large one: see https://github.com/google/re2/wiki/Syntax"
		case strings.Contains(reason, "comprehension exceeds"):
			reason = fmt.Sprintf("more than %d loops in one another, or in a row: split the rule", maxLoops)
		case strings.Contains(reason, "exceed"):
			reason += ": shorten it, or split the rule"
		}
		all = append(all, complaint{offsetOf(text, e.Location.Line(), e.Location.Column()), reason})
	}
	return all
}

// nearField names the fact that was probably meant.
func nearField(s Subject, reason string) string {
	_, quoted, _ := strings.Cut(reason, "'")
	name, _, _ := strings.Cut(quoted, "'")
	var names []string
	for _, v := range s.variables() {
		for _, f := range reference[v] {
			names = append(names, f.Name)
		}
	}
	if near := nearest(name, names); near != "" {
		return fmt.Sprintf(": did you mean %q?", near)
	}
	return ": docs/rules.md lists the facts"
}

// offsetOf turns a line (from 1) and column (from 0) of a text into an offset in
// characters.
func offsetOf(text string, line, column int) int {
	offset := 0
	for range line - 1 {
		before, after, ok := strings.Cut(text, "\n")
		if !ok {
			break
		}
		offset += len([]rune(before)) + 1
		text = after
	}
	return offset + max(0, column)
}

// eval evaluates the expression. The result is a value, or unknown, or an error.
func (e *expression) eval(input any) (ref.Val, error) {
	v, _, err := e.prog.Eval(input)
	if err == nil {
		return v, nil
	}
	var cancelled interpreter.EvalCancelledError
	if errors.As(err, &cancelled) && cancelled.Cause == interpreter.CostLimitExceeded {
		return nil, fmt.Errorf("%w: more than %d operations", ErrCost, maxCost)
	}
	return nil, err
}

// missing names what an unknown value waits for, with the reasons.
func (f *Facts) missing(u *types.Unknown) []string {
	var all []string
	for _, id := range u.IDs() {
		trails, _ := u.GetAttributeTrails(id)
		for _, t := range trails {
			all = append(all, f.missingFact(t)...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// missingFact names one fact. Where it is a map of which entries are unknown, it names
// those.
func (f *Facts) missingFact(t *types.AttributeTrail) []string {
	unknown, there := f.unknown(Subject(t.Variable()))
	var path []string
	for _, q := range t.QualifierPath() {
		path = append(path, fmt.Sprint(q))
	}
	subject, fact := t.Variable()+".", strings.Join(path, ".")
	if !there {
		return []string{subject + fact + ": no such facts were read"}
	}
	if reason, ok := unknown[fact]; ok {
		return []string{subject + fact + ": " + reason}
	}
	if len(path) > 1 && unknown[path[0]] != "" {
		return []string{subject + fact + ": " + unknown[path[0]]}
	}
	var all []string
	for name, reason := range unknown {
		if strings.HasPrefix(name, fact+".") {
			all = append(all, subject+name+": "+reason)
		}
	}
	if all == nil {
		return []string{subject + fact + ": not known"}
	}
	return all
}
