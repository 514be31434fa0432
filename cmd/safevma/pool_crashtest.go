package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/internal/term"
	"github.com/safevma/safevma/pmem/crash"
	"github.com/safevma/safevma/pmem/workload"
)

func newPoolCrashtest() *cobra.Command {
	var format output
	var deep bool
	var names []string
	cmd := &cobra.Command{
		Use:   "crashtest",
		Short: "Recover and check each state that a failure may leave of a pool",
		Long: `Runs small workloads on pools in memory, builds every image that a failure may legally leave
of them, recovers each, and checks it: what was acknowledged is there, what was in flight is
whole or absent, and "safevma pool check" finds nothing. The failures are a killed process,
persistent memory that loses or keeps its caches, and an ordinary file whose pages reach the
disk in any order.

No file is touched, and no privilege is needed. With --deep, each failure is followed by
another one during recovery; that takes minutes.

Exit status: 0 every state recovers, 1 one does not, 3 something could not be explored.`,
		Example: "  safevma pool crashtest\n  safevma pool crashtest --workload set --deep --output json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			chosen, err := chooseWorkloads(names)
			if err != nil {
				return usage(err)
			}
			summary, err := explorePools(cmd.Context(), chosen, deep)
			if err != nil {
				return internal(err)
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), summary)
			} else {
				err = writeCrashtest(cmd.OutOrStdout(), summary)
			}
			if err != nil {
				return internal(err)
			}
			return verdictOf(summary)
		},
	}
	cmd.Flags().BoolVar(&deep, "deep", false, "let a second failure happen during recovery")
	cmd.Flags().StringSliceVar(&names, "workload", nil, "`names` of workloads, instead of all")
	format.flag(cmd)
	return cmd
}

func chooseWorkloads(names []string) (chosen []workload.Workload, err error) {
	all := workload.All()
	if len(names) == 0 {
		return all, nil
	}
	for _, name := range names {
		i := slices.IndexFunc(all, func(w workload.Workload) bool { return w.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("%q is no workload: they are %q", name, workload.Names())
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func explorePools(ctx context.Context, all []workload.Workload, deep bool) (*workload.Summary, error) {
	progress := term.NewProgress(os.Stderr, "exploring pools, events")
	defer progress.Done()
	return workload.Run(ctx, all, deep, func(_ string, p crash.Progress) { progress.Step(p.Event, p.Events) })
}

func writeCrashtest(w io.Writer, s *workload.Summary) error {
	for _, r := range s.Workloads {
		if _, err := fmt.Fprintf(w, "%s\n", r); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s: %d workloads, %d failures, %v of %v distinct images recovered and checked\n", s.Verdict,
		len(s.Workloads), s.Failures, s.ImagesChecked, s.Images)
	return err
}

func verdictOf(s *workload.Summary) error {
	switch s.Verdict {
	case "broken":
		return &exit{status: exitFindings}
	case "unknown":
		return &exit{status: exitNotMeasurable}
	}
	return nil
}
