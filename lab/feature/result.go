package feature

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// Answer is what a probe found out.
type Answer string

// The answers.
const (
	Present Answer = "present"
	Absent  Answer = "absent"
	Unknown Answer = "unknown" // it could not be tried, or the control failed
)

// Result is what one probe saw.
type Result struct {
	Feature string `json:"feature"`
	Answer  Answer `json:"answer"`
	// Observed is what the kernel answered, or why it could not be asked.
	Observed string `json:"observed"`
	// Errno is the name of the errno that decided, such as "EPERM"; empty where none did.
	Errno string `json:"errno,omitempty"`
	// Control is what went the other way, and so shows that the probe can.
	Control string `json:"control,omitempty"`
}

func present(observed, control string) Result {
	return Result{Answer: Present, Observed: observed, Control: control}
}

func absent(observed, control string) Result {
	return Result{Answer: Absent, Observed: observed, Control: control}
}

// missing is an answer of the kernel's: the call failed as it does where there is no
// such feature.
func missing(call string, err error, control string) Result {
	return Result{Answer: Absent, Observed: outcome(call, err), Errno: sys.ErrnoName(err), Control: control}
}

// unknown is the answer where something else than the feature went wrong, by an error
// or, where that is nil, by what was seen.
func unknown(what string, err error) Result {
	if err == nil {
		return Result{Answer: Unknown, Observed: what}
	}
	return Result{Answer: Unknown, Observed: outcome(what, err), Errno: sys.ErrnoName(err)}
}

// noControl is the answer where the control did not go as it must, as unknown.
func noControl(what string, err error) Result {
	r := unknown(what, err)
	r.Observed = "the control failed: " + r.Observed
	return r
}

// absentIf is the answer to a call that failed: absent for the errnos that say so,
// and unknown for any other.
func absentIf(call string, err error, control string, errnos ...syscall.Errno) Result {
	for _, errno := range errnos {
		if errors.Is(err, errno) {
			return missing(call, err, control)
		}
	}
	return unknown(call, err)
}

// refused is the answer to a call that the feature makes fail with one errno: allowed
// is absent, any other errno is unknown.
func refused(call string, err error, want syscall.Errno, control string) Result {
	r := Result{Observed: outcome(call, err), Errno: sys.ErrnoName(err), Control: control}
	switch {
	case errors.Is(err, want):
		r.Answer = Present
	case err == nil:
		r.Answer = Absent
	default:
		r.Answer = Unknown
		r.Observed += fmt.Sprintf("; want %s", sys.ErrnoName(want))
	}
	return r
}

// outcome says in words how a call ended.
func outcome(call string, err error) string {
	if err == nil {
		return call + ": ok"
	}
	if name := sys.ErrnoName(err); name != "" {
		return call + ": " + name
	}
	return call + ": " + err.Error()
}
