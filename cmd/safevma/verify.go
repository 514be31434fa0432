package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/term"
	"github.com/safevma/safevma/kernel/host"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/region/verify"
)

type verifyFlags struct {
	require []string
	at      string
	verbose bool
	output  output
}

func newVerify() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify PID",
		Short: "Say which guarantees the memory of a process shows, from the kernel's view",
		Long: `Looks at all memory of a process that shows some protection: that is locked, secret, sealed,
guarded, kept from core dumps or from children, or writable and executable. For each it says
what holds and what contradicts itself, such as locked memory that is not in memory.

What a process meant is not known from outside: what its memory lacks is no finding, unless
it is required with --require. Then all of that memory must have it, or with --at what is at
those addresses.`,
		Example: `  safevma verify 812
  safevma verify 812 --require NoSwap,NoDump,NoFork
  safevma verify 812 --at 7f53a8a00000-7f53a8a01000 --require Secret,Resident,Guarded -o json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeOnePID,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.require, "require", nil, "`guarantees` that the memory must have: "+strings.Join(verify.Names(), ", "))
	flags.StringVar(&f.at, "at", "", "look at these `addresses` alone: START-END, hexadecimal as in /proc/PID/maps")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "show what does not apply, all raw lines and controls")
	f.output.flag(cmd)
	_ = cmd.RegisterFlagCompletionFunc("require", cobra.FixedCompletions(verify.Names(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (f *verifyFlags) run(cmd *cobra.Command, arg string) error {
	asJSON, err := f.output.json()
	if err != nil {
		return err
	}
	pid, err := parsePID(arg)
	if err != nil {
		return err
	}
	options := verify.Options{Require: f.require}
	if options.Start, options.End, err = parseAddresses(f.at); err != nil {
		return usage(err)
	}
	var result *verify.Result
	if err := reading(pid, func() (err error) {
		result, err = verify.Process(process.Default(), pid, options)
		return err
	}); errors.Is(err, verify.ErrName) {
		return usage(fmt.Errorf("--require %w", errors.Unwrap(err)))
	} else if err != nil {
		return err
	}
	facts, err := host.New("/proc", "/sys").Read(cmd.Context())
	if err != nil {
		return internal(err)
	}
	none := []guarantee.Missed{}
	coverage := &guarantee.Coverage{Processes: 1, VMAs: result.VMAs, Gone: none, Denied: none, Failed: none}
	report, err := guarantee.NewReport(tool(), facts.Identity(), result.Window, result.Verdicts, coverage)
	if err != nil {
		return internal(err)
	}
	if asJSON {
		err = report.WriteJSON(cmd.OutOrStdout())
	} else {
		w := term.NewWriter(cmd.OutOrStdout(), os.Environ())
		w.Report(report, term.ReportOptions{Verbose: f.verbose, Holds: true})
		err = w.Err()
	}
	if err != nil {
		return internal(err)
	}
	if result.Areas == 0 && len(result.Verdicts) == 0 {
		return notMeasurable(fmt.Errorf("process %d: none of its memory shows protection: there is nothing to verify", pid))
	}
	return verdictExit(report, guarantee.Info)
}

// parseAddresses parses a range of addresses; an empty one is all.
func parseAddresses(text string) (start, end uint64, err error) {
	if text == "" {
		return 0, 0, nil
	}
	first, second, ok := strings.Cut(text, "-")
	start, err1 := strconv.ParseUint(strings.TrimPrefix(first, "0x"), 16, 64)
	end, err2 := strconv.ParseUint(strings.TrimPrefix(second, "0x"), 16, 64)
	if !ok || err1 != nil || err2 != nil || end <= start {
		return 0, 0, fmt.Errorf("--at %q: want START-END, hexadecimal, such as 7f53a8a00000-7f53a8a01000", text)
	}
	return start, end, nil
}
