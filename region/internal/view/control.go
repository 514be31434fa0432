package view

import (
	"fmt"

	"github.com/safevma/safevma/guarantee"
)

// Passed is a control that saw what it had to see.
func Passed(format string, args ...any) guarantee.Control {
	return guarantee.Control{Status: guarantee.ControlPassed, Detail: fmt.Sprintf(format, args...)}
}

// Failed is one that did not: nothing that the check says can be believed.
func Failed(format string, args ...any) guarantee.Control {
	return guarantee.Control{Status: guarantee.ControlFailed, Detail: fmt.Sprintf(format, args...)}
}

// Absent is one that could not be run.
func Absent(format string, args ...any) guarantee.Control {
	return guarantee.Control{Status: guarantee.ControlAbsent, Detail: fmt.Sprintf(format, args...)}
}
