package main

import (
	"context"
	"fmt"
	"os"
	"path"
	"slices"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/internal/term"
	"github.com/safevma/safevma/probe"
)

func newProbe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "probe",
		Short: "Find out by experiment what this kernel really does with memory",
		Long: `Each probe takes one claim of a document and tries it on the running kernel, with controls,
in a process of its own. A claim is confirmed, refuted, or unknown with the reason.

No setting of the host is changed. See docs/probe.md.

Exit status: 0 all confirmed, 1 claims are refuted, 3 none is refuted and some are unknown.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newProbeRun(), newProbeList(), newProbeExplain(), newProbeDiff())
	return cmd
}

type probeRun struct {
	format   string
	verbose  bool
	parallel int
}

func newProbeRun() *cobra.Command {
	var f probeRun
	cmd := &cobra.Command{
		Use:   "run [ID...]",
		Short: "Run probes",
		Long:  "Run all probes, or those whose ids match the arguments, which may be patterns such as 'sm-*'.",
		RunE:  f.run,
	}
	cmd.Flags().StringVarP(&f.format, "output", "o", "text", "`format`: text, json, junit or ktap")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "show all experiments, controls and notes")
	cmd.Flags().IntVar(&f.parallel, "parallel", 0, "run so `many` probes at once; 0 is the number of processors, at most 4")
	_ = cmd.RegisterFlagCompletionFunc("output",
		cobra.FixedCompletions([]string{"text", "json", "junit", "ktap"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.ValidArgsFunction = completeProbe
	return cmd
}

func completeProbe(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var ids []string
	for _, p := range probe.Catalogue() {
		ids = append(ids, p.ID+"\t"+p.Claim)
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

func (f *probeRun) run(cmd *cobra.Command, args []string) error {
	if !slices.Contains([]string{"text", "json", "junit", "ktap"}, f.format) {
		return usage(fmt.Errorf("--output %s: want text, json, junit or ktap", f.format))
	}
	if f.parallel < 0 {
		return usage(fmt.Errorf("--parallel %d: want a number from 0 on", f.parallel))
	}
	chosen, err := chooseProbes(args)
	if err != nil {
		return usage(err)
	}
	progress := term.NewProgress(os.Stderr, "probing")
	report, err := runProbes(cmd.Context(),
		probe.Config{Probes: chosen, Parallel: f.parallel, Progress: progress.Step, Tool: tool()})
	progress.Done()
	if report == nil {
		return err
	}
	if writeErr := f.write(cmd, report); writeErr != nil {
		return internal(writeErr)
	}
	if err != nil { // something is left behind
		return internal(err)
	}
	return probeExit(report)
}

// runProbes ends the run in order, too, when its terminal hangs up: it has things on the host
// that are to be removed.
func runProbes(ctx context.Context, c probe.Config) (*probe.Report, error) {
	here, done := hangup(ctx)
	report, err := probe.Run(here, c)
	if hungUp := done(); hungUp != nil {
		return nil, hungUp
	}
	if report == nil {
		return nil, internal(err)
	}
	return report, err
}

func (f *probeRun) write(cmd *cobra.Command, r *probe.Report) error {
	out := cmd.OutOrStdout()
	switch f.format {
	case "json":
		return r.WriteJSON(out)
	case "junit":
		return r.WriteJUnit(out)
	case "ktap":
		return r.WriteKTAP(out)
	}
	w := term.NewWriter(out, os.Environ())
	w.Probes(r, term.ReportOptions{Verbose: f.verbose})
	return w.Err()
}

// probeExit: findings win over what could not be measured.
func probeExit(r *probe.Report) error {
	switch {
	case r.Summary.Refuted > 0:
		return &exit{status: exitFindings}
	case r.Summary.Unknown > 0:
		return &exit{status: exitNotMeasurable}
	}
	return nil
}

// chooseProbes returns the probes whose ids match any of the patterns, or all.
func chooseProbes(patterns []string) ([]probe.Probe, error) {
	all := probe.Catalogue()
	if len(patterns) == 0 {
		return all, nil
	}
	wanted := map[string]bool{}
	for _, pattern := range patterns {
		found := false
		for _, p := range all {
			match, err := path.Match(pattern, p.ID)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", pattern, err)
			}
			found = found || match
			wanted[p.ID] = wanted[p.ID] || match
		}
		if !found {
			return nil, fmt.Errorf("there is no probe %q; \"safevma probe list\" lists them", pattern)
		}
	}
	return slices.DeleteFunc(all, func(p probe.Probe) bool { return !wanted[p.ID] }), nil
}

func newProbeList() *cobra.Command {
	var format output
	cmd := &cobra.Command{
		Use:   "list [ID...]",
		Short: "List the probes and their claims",
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			chosen, err := chooseProbes(args)
			if err != nil {
				return usage(err)
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), probe.Descriptions(chosen))
			}
			w := term.NewWriter(cmd.OutOrStdout(), os.Environ())
			w.ProbeList(chosen)
			if err := w.Err(); err != nil {
				return internal(err)
			}
			return nil
		},
	}
	format.flag(cmd)
	return cmd
}

func newProbeExplain() *cobra.Command {
	var format output
	var dry bool
	cmd := &cobra.Command{
		Use:   "explain ID",
		Short: "Tell the story of a probe: claim, source, experiment, and what is seen here",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			p, ok := probe.Find(args[0])
			if !ok {
				return usage(fmt.Errorf("there is no probe %q; \"safevma probe list\" lists them", args[0]))
			}
			var report *probe.Report
			if !dry {
				report, err = runProbes(cmd.Context(), probe.Config{Probes: []probe.Probe{p}, Tool: tool()})
				if report == nil {
					return err
				}
				if err != nil { // something is left behind
					return internal(err)
				}
			}
			return explain(cmd, &p, report, asJSON)
		},
		ValidArgsFunction: completeProbe,
	}
	format.flag(cmd)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "do not run it")
	return cmd
}

func explain(cmd *cobra.Command, p *probe.Probe, report *probe.Report, asJSON bool) error {
	var result *probe.Result
	if report != nil {
		result = &report.Probes[0]
	}
	if asJSON {
		if err := writeJSON(cmd.OutOrStdout(), struct {
			Probe  probe.Description `json:"probe"`
			Result *probe.Result     `json:"result"`
		}{probe.Descriptions([]probe.Probe{*p})[0], result}); err != nil {
			return err
		}
	} else {
		w := term.NewWriter(cmd.OutOrStdout(), os.Environ())
		w.Explain(p, result)
		if err := w.Err(); err != nil {
			return internal(err)
		}
	}
	if report == nil {
		return nil
	}
	return probeExit(report)
}

func newProbeDiff() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "diff A.json B.json...",
		Short: "Compare what kernels said, from files of \"probe run --output json\"",
		Long: `Compare what kernels said, from files of "probe run --output json".

Exit status: 0 they said the same, 1 they differ. With --output markdown it writes the
whole ledger.`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains([]string{"text", "json", "markdown"}, format) {
				return usage(fmt.Errorf("--output %s: want text, json or markdown", format))
			}
			ledger, err := loadLedger(args)
			if err != nil {
				return usage(err)
			}
			switch format {
			case "json":
				err = ledger.WriteJSON(cmd.OutOrStdout())
			case "markdown":
				err = ledger.WriteMarkdown(cmd.OutOrStdout())
			default:
				w := term.NewWriter(cmd.OutOrStdout(), os.Environ())
				w.Ledger(ledger)
				err = w.Err()
			}
			if err != nil {
				return internal(err)
			}
			if len(ledger.Differing().Rows) > 0 {
				return &exit{status: exitFindings}
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "text", "`format`: text, json or markdown")
	_ = cmd.RegisterFlagCompletionFunc("output",
		cobra.FixedCompletions([]string{"text", "json", "markdown"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func loadLedger(files []string) (*probe.Ledger, error) {
	var reports []*probe.Report
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		report, err := probe.ReadJSON(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		reports = append(reports, report)
	}
	return probe.Compare(reports...), nil
}
