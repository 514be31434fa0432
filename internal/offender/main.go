package offender

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"text/tabwriter"
)

// Env is the environment variable that asks a test binary to be an offender: when it
// is set, the arguments are those of [Main]. See [Asked].
const Env = "SAFEVMA_OFFENDER"

// Exit statuses of [Main].
const (
	ExitOK     = 0
	ExitFailed = 1
	ExitUsage  = 2
	ExitCannot = 77 // the violation can't be committed here; the reason is on standard error
)

var asked bool

// Asked reports whether this process was started to be an offender. A test binary
// that starts offenders calls it first thing in TestMain and, if it is so, does
// nothing but
//
//	os.Exit(offender.Main(os.Args[1:]))
func Asked() bool {
	asked = true
	return os.Getenv(Env) != ""
}

// Hooked reports whether this process has called [Asked], so that it can start
// itself as an offender.
func Hooked() bool { return asked }

// Main runs the offender, twin or fixture args[0] in this process, with the further
// arguments, and returns the exit status. It returns when standard input ends.
// "list" prints the catalogue.
func Main(args []string) int {
	// Further processes are to die with this thread, so it must live as long.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "usage: offender NAME [ARGUMENT]...; \"offender list\" prints the names")
		return ExitUsage
	}
	if args[0] == "list" {
		if err := printList(os.Stdout, args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "offender list:", err)
			return ExitFailed
		}
		return ExitOK
	}
	err := runNamed(args[0], args[1:])
	if err == nil {
		return ExitOK
	}
	fmt.Fprintf(os.Stderr, "offender %s: %v\n", args[0], err)
	var c *cannotError
	switch {
	case errors.As(err, &c):
		return ExitCannot
	case errors.Is(err, errUsage):
		return ExitUsage
	}
	return ExitFailed
}

func printList(w io.Writer, args []string) error {
	if len(args) == 1 && args[0] == "--json" {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(append(List(), Fixtures()...))
	}
	if len(args) != 0 {
		return errors.New("unknown argument; there is only --json")
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "NAME\tREQUIREMENT\tWHAT IT DOES")
	for _, s := range append(List(), Fixtures()...) {
		name := s.Name
		if s.Usage != "" {
			name += " " + s.Usage
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\n", name, s.Requirement, s.Summary)
		for _, t := range s.Twins {
			fmt.Fprintf(tw, "  %s\t\t%s\n", t.Name, t.Summary)
		}
	}
	return tw.Flush()
}

var errUsage = errors.New("wrong usage")

// cannotError says that the violation can't be committed here.
type cannotError struct{ err error }

func (e *cannotError) Error() string { return "cannot here: " + e.err.Error() }
func (e *cannotError) Unwrap() error { return e.err }

// cannot says what the kernel refused. A nil error stays nil.
func cannot(what string, err error) error {
	if err == nil {
		return nil
	}
	return &cannotError{fmt.Errorf("%s: %w", what, err)}
}
