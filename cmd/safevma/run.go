package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/guard"
	"github.com/safevma/safevma/internal/sys"
)

// The statuses of failures before the program has one, as env(1) has them.
const (
	exitOwn           = 125
	exitNotExecutable = 126
	exitNotFound      = 127
)

type runFlags struct {
	profiles []string
	without  []string
	plan     bool
	verify   bool
	list     bool
	report   string
	output   output
}

func newRun() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [flags] -- PROGRAM [ARG...]",
		Short: "Start a program inside guarantees, each verified before its first instruction",
		Long: `run starts a program that knows nothing of safevma under the rules of a profile: wx (no code is
made at run time), secrets (nobody else reads its memory), deterministic (its memory stays where
it is), safety (all of it), or a YAML file. Each rule is verified from outside when the program is
at its first instruction; if one does not hold, the program is not started, unless --without names
it.

Sockets that a service manager passed to it (LISTEN_FDS) are passed on, each looked at; no other
descriptors but the standard ones are.

The exit status is that of the program; a signal that ends it ends this command too. Own failures
are 125, 126 where the program can't be executed and 127 where there is none. With --plan it is 0
where all rules hold, but those named in --without; 1 where one does not, 3 where that of one could
not be known.`,
		Example: `  safevma run --profile wx -- nginx -g 'daemon off;'
  safevma run --profile safety --plan -- ./controller
  safevma run --profile wx --without memfd-watch --verify -- python3 service.py`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && !f.list {
				return &exit{exitOwn, errors.New("no program: safevma run [flags] -- PROGRAM [ARG...]")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	cmd.Flags().SetInterspersed(false)
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exit{exitOwn, err} }) // 2 may be the program's
	cmd.Flags().StringSliceVarP(&f.profiles, "profile", "p", []string{"wx"}, "`profiles`, put together: names, or YAML files")
	cmd.Flags().StringSliceVar(&f.without, "without", nil, "`rules` that are left out where they can't be had")
	cmd.Flags().BoolVar(&f.plan, "plan", false, "say what can be had here, by trying it up to the first instruction; the program does not run")
	cmd.Flags().BoolVar(&f.verify, "verify", false, "write the verdicts to standard error before the program runs")
	cmd.Flags().StringVar(&f.report, "report", "", "write the verdicts as JSON to a `file` before the program runs")
	cmd.Flags().BoolVar(&f.list, "rules", false, "list all rules and what each can't promise")
	f.output.flag(cmd)
	return cmd
}

func (f *runFlags) run(cmd *cobra.Command, args []string) error {
	json, err := f.output.json()
	if err != nil {
		return &exit{exitOwn, err}
	}
	if f.list {
		return listRules(cmd.OutOrStdout(), json)
	}
	settings, err := f.settings()
	if err != nil {
		return &exit{exitOwn, err}
	}
	c := guard.Config{Settings: settings, Command: args, Dry: f.plan}
	for _, r := range f.without {
		c.Without = append(c.Without, guard.Rule(r))
	}
	if c.Keep, err = guard.Activated(); err != nil {
		return &exit{exitOwn, err}
	}
	var launch *guard.Launch
	c.Verdicts = func(l *guard.Launch) error { launch = l; return f.tell(cmd, l, json) }
	status, err := guard.Run(c)
	switch {
	case errors.Is(err, guard.ErrNotFound):
		return &exit{exitNotFound, err}
	case errors.Is(err, guard.ErrNotExecutable):
		return &exit{exitNotExecutable, err}
	case err != nil:
		return &exit{exitOwn, err}
	case f.plan && !status.Signaled():
		return planExit(launch, c.Without)
	}
	return endAs(status)
}

// planExit: what is broken wins over what could not be measured. Rules that may fail count for
// neither.
func planExit(l *guard.Launch, without []guard.Rule) error {
	var unknown error
	for _, v := range l.Verdicts {
		switch {
		case slices.Contains(without, guard.Rule(v.Rule)):
		case v.Status == guarantee.Broken:
			return &exit{status: exitFindings}
		case v.Status == guarantee.Unknown:
			unknown = &exit{status: exitNotMeasurable}
		}
	}
	return unknown
}

func (f *runFlags) settings() (*guard.Settings, error) {
	var all []guard.Profile
	for _, name := range f.profiles {
		p, err := guard.Load(name)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	for _, r := range f.without {
		if !slices.ContainsFunc(guard.Rules(), func(i guard.RuleInfo) bool { return string(i.Rule) == r }) {
			return nil, fmt.Errorf("--without %s: there is no such rule: see safevma run --rules", r)
		}
	}
	return guard.Combine(all...)
}

// tell writes the verdicts where they are asked for.
func (f *runFlags) tell(cmd *cobra.Command, l *guard.Launch, json bool) error {
	if f.report != "" {
		if err := f.writeReport(l); err != nil {
			return err
		}
	}
	switch {
	case f.plan && json:
		return writeJSON(cmd.OutOrStdout(), l)
	case f.plan:
		return writeVerdicts(cmd.OutOrStdout(), l)
	case f.verify && json:
		return writeJSON(cmd.ErrOrStderr(), l)
	case f.verify:
		return writeVerdicts(cmd.ErrOrStderr(), l)
	}
	return nil
}

func (f *runFlags) writeReport(l *guard.Launch) error {
	file, err := os.Create(f.report)
	if err != nil {
		return err
	}
	return errors.Join(writeJSON(file, l), file.Close())
}

func writeVerdicts(w io.Writer, l *guard.Launch) error {
	for _, v := range l.Verdicts {
		if _, err := fmt.Fprintf(w, "%-8s %-15s %-10s %s\n", v.Status, v.Rule, v.Requirement, v.Message); err != nil {
			return err
		}
		if v.Status == guarantee.Holds {
			if _, err := fmt.Fprintf(w, "         %s: %s\n", v.Observation.Source, strings.Join(v.Observation.Raw, "; ")); err != nil {
				return err
			}
		}
	}
	return nil
}

func listRules(w io.Writer, json bool) error {
	if json {
		return writeJSON(w, guard.Rules())
	}
	for _, r := range guard.Rules() {
		if _, err := fmt.Fprintf(w, "%-15s %-10s %s\n%27s by %s\n", r.Rule, r.Requirement, r.Does, "", r.Mechanism); err != nil {
			return err
		}
		if r.Limit != "" {
			if _, err := fmt.Fprintf(w, "%27s but %s\n", "", r.Limit); err != nil {
				return err
			}
		}
	}
	return nil
}

// programStatus is the exit status of a program, 0 too: a signal that this command got went to the program,
// which has ended as it saw fit.
type programStatus int

// Error implements error.
func (s programStatus) Error() string { return fmt.Sprintf("the program ended with status %d", int(s)) }

// endAs ends this process as the program has ended.
func endAs(status syscall.WaitStatus) error {
	if !status.Signaled() {
		return programStatus(status.ExitStatus())
	}
	sig := status.Signal()
	_ = sys.NoCore() // the dump, if any, is the program's
	signal.Reset(sig)
	_ = syscall.Kill(os.Getpid(), sig)
	return &exit{status: 128 + int(sig)} // where the signal is ignored here
}
