package rules

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Error is one fault of a rule file. [Load] joins all of a file with [errors.Join].
type Error struct {
	File string
	// Line and Column count from 1, the column in characters; 0 where the fault is of
	// the whole file.
	Line, Column int
	// Rule is the id of the rule, where the fault is in one that has an id.
	Rule string
	// Reason says what is wrong and what to do.
	Reason string
}

// Error returns "file:line:column: rule "id": reason".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		b.WriteByte(':')
		b.WriteString(strconv.Itoa(e.Line))
		b.WriteByte(':')
		b.WriteString(strconv.Itoa(e.Column))
	}
	b.WriteString(": ")
	if e.Rule != "" {
		b.WriteString("rule ")
		b.WriteString(strconv.Quote(e.Rule))
		b.WriteString(": ")
	}
	b.WriteString(e.Reason)
	return b.String()
}

// ErrCost is wrapped by [Result.Err] where an expression was stopped because it cost
// too much.
var ErrCost = errors.New("expression stopped: it costs too much")

// maxErrors bounds what is said about one file.
const maxErrors = 100

// join orders the faults of a file by position, drops repeated ones and makes one
// error of them.
func join(faults []*Error) error {
	slices.SortStableFunc(faults, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	faults = slices.CompactFunc(faults, func(a, b *Error) bool { return *a == *b })
	if n := len(faults); n > maxErrors {
		more := *faults[maxErrors]
		more.Rule, more.Reason = "", strconv.Itoa(n-maxErrors)+" more faults from here on: mend the first ones"
		faults = append(faults[:maxErrors:maxErrors], &more)
	}
	errs := make([]error, len(faults))
	for i, f := range faults {
		errs[i] = f
	}
	return errors.Join(errs...)
}
