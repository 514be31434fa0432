// Command safevma makes memory on Linux safe, and proves it.
//
// Each verb has a file of its own, with its flags and nothing else; what it does is in
// the packages. Exit status: 0 what was asked for holds, 1 findings, 2 usage, 3 not
// measurable here, 4 internal error or an output that could not be written, 130 and 143
// interrupted by SIGINT and SIGTERM.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/guard"
	"github.com/safevma/safevma/probe"
)

func main() {
	if probe.Asked() {
		os.Exit(probe.Serve(os.Stdin, os.Stdout))
	}
	if guard.Asked() {
		os.Exit(guard.Serve())
	}
	os.Exit(run())
}

// The exit statuses.
const (
	exitFindings      = 1
	exitUsage         = 2
	exitNotMeasurable = 3
	exitInternal      = 4
)

// exit is an error with an exit status. Without a cause there is nothing to say: the
// output has said it.
type exit struct {
	status int
	cause  error
}

// Error implements error.
func (e *exit) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.cause.Error()
}

// Unwrap returns the cause.
func (e *exit) Unwrap() error { return e.cause }

func usage(err error) error    { return &exit{exitUsage, err} }
func internal(err error) error { return &exit{exitInternal, err} }

func notMeasurable(err error) error { return &exit{exitNotMeasurable, err} }

// interruption is the signal that ended the work.
type interruption syscall.Signal

// Error implements error.
func (interruption) Error() string { return "interrupted" }

// status is the exit status by which a shell tells of a signal.
func (i interruption) status() int { return 128 + int(i) }

func run() int {
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		caught, _ := (<-signals).(syscall.Signal)
		signal.Stop(signals) // another one ends the program at once
		stop(interruption(caught))
	}()

	root, out := newRoot(), &stdout{File: os.Stdout}
	root.SetOut(out)
	err := root.ExecuteContext(ctx)
	var by interruption
	var program programStatus
	if errors.As(err, &program) {
		return int(program)
	}
	if errors.As(context.Cause(ctx), &by) {
		err = &exit{by.status(), by}
	} else if out.err != nil {
		err = internal(fmt.Errorf("cannot write the output: %w", out.err))
	}
	return tell(err)
}

// tell tells of an error, and returns its exit status.
func tell(err error) int {
	if err == nil {
		return 0
	}
	var e *exit
	if !errors.As(err, &e) { // what cobra finds wrong is about flags and arguments
		e = &exit{exitUsage, err}
	}
	if e.cause != nil {
		fmt.Fprintln(os.Stderr, "safevma:", e.cause)
		if e.status == exitUsage {
			fmt.Fprintln(os.Stderr, "Try \"safevma --help\".")
		}
	}
	return e.status
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "safevma",
		Short: "Make memory on Linux safe, and prove it",
		Long: `safevma looks at the memory of processes and of the host, with the kernel's own words
as evidence, and says which guarantees hold, which are broken, and which could not be
measured.

Exit status: 0 what was asked for holds, 1 findings, 2 usage, 3 not measurable here,
4 internal error or an output that cannot be written, 130 and 143 interrupted by SIGINT and
SIGTERM. Findings win over not measurable. Colours follow NO_COLOR.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(
		newAudit(),
		newBaseline(),
		newDAMON(),
		newExposure(),
		newGuarantees(),
		newHost(),
		newMGLRU(),
		newMan(),
		newMemfd(),
		newPSI(),
		newPolicy(),
		newPool(),
		newProbe(),
		newRules(),
		newRun(),
		newSlab(),
		newVMA(),
		newVerify(),
		newVersion(),
		newZones(),
	)
	return root
}
