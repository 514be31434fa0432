package crash

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/safevma/safevma/pmem/crash/state"
	"github.com/safevma/safevma/pmem/medium"
)

// Event is one step of a trace: what was done to the medium, or a note of what the
// workload did.
type Event struct {
	state.Event
	Class medium.Class
	PCs   []uintptr // where, innermost first
	Op    int       // of the operation that did it, from 1; 0 is none
	note  *note
}

// moment is what a note marks.
type moment uint8

const (
	begin moment = iota + 1
	acknowledged
)

// note marks where the oracle changes.
type note struct {
	moment moment
	name   string // of the operation
	legal  *legal // from here on
	erased []canary
	failed bool // the operation returned an error
}

// own is the prefix of the functions of this package and of the medium: the places of
// interest are those that called them.
var own = []string{
	"github.com/safevma/safevma/pmem/crash.",
	"github.com/safevma/safevma/pmem/medium.",
	"runtime.",
}

// places are the stack frames of the user's code, innermost first.
func places(pcs []uintptr) []string {
	var all []string
	frames := runtime.CallersFrames(pcs)
	for {
		f, more := frames.Next()
		if f.Function != "" && !foreign(f.Function, f.File) {
			if at := fmt.Sprintf("%s:%d", shortFile(f.File), f.Line); len(all) == 0 || all[len(all)-1] != at {
				all = append(all, at) // a call that is inlined comes twice
			}
		}
		if !more {
			return all
		}
	}
}

func foreign(function, file string) bool {
	if strings.HasSuffix(file, "_test.go") {
		return false
	}
	for _, prefix := range own {
		if strings.HasPrefix(function, prefix) {
			return true
		}
	}
	return false
}

// shortFile keeps the folder and the name: enough to find it, and the same everywhere.
func shortFile(file string) string {
	parts := strings.Split(file, "/")
	return strings.Join(parts[max(0, len(parts)-2):], "/")
}

// chain is the innermost place and those that called it, as far as a reader looks.
func chain(pcs []uintptr) string {
	const most = 3
	all := places(pcs)
	if len(all) == 0 {
		return "unknown place"
	}
	return strings.Join(all[:min(most, len(all))], " via ")
}

// place is the innermost one.
func place(pcs []uintptr) string {
	if all := places(pcs); len(all) > 0 {
		return all[0]
	}
	return "unknown place"
}
