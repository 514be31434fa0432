// Command safevma makes memory on Linux safe, and proves it.
//
// Each verb has a file of its own, with its flags and nothing else; what it does is in
// the packages. Exit status: 0 what was asked for holds, 1 findings, 2 usage, 3 not
// measurable here, 4 internal error.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run()) }

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

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := newRoot().ExecuteContext(ctx)
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
4 internal error. Findings win over not measurable. Colours follow NO_COLOR.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newAudit(), newVMA(), newMemfd(), newBaseline(), newHost(), newRules(), newGuarantees(), newVersion(), newMan(), newPolicy())
	return root
}

// output is the flag that chooses between text for people and JSON for machines.
type output string

func (o *output) flag(cmd *cobra.Command) {
	*o = "text"
	cmd.Flags().StringVarP((*string)(o), "output", "o", "text", "`format`: text or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

func (o output) json() (bool, error) {
	switch o {
	case "text":
		return false, nil
	case "json":
		return true, nil
	}
	return false, usage(fmt.Errorf("--output %s: want text or json", string(o)))
}
