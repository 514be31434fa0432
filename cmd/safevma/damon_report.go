package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/internal/term"
	"github.com/safevma/safevma/watch/access"
	"github.com/safevma/safevma/watch/heatmap"
	"github.com/safevma/safevma/watch/recording"
)

func newDAMONReport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Report of what was recorded",
		Long: `Reports of recordings of "safevma damon record" and "safevma damon import". One that is cut off, because
the machine died or it is still being recorded, is reported of as far as it is whole.

Exit status: 0 the recording is whole, or was cut off; 1 bytes of it were changed, and the report
is of what stands before; 2 it is no recording; 3 it has nothing of what is asked for.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newReportAccess(), newReportFootprint(), newReportHeatmap(), newReportWSS())
	return cmd
}

// onRecording opens a recording and calls fn, which reads it and writes of it.
func onRecording(cmd *cobra.Command, name string, fn func(f *recording.File, out io.Writer) error) error {
	f, err := recording.Open(name)
	if err != nil {
		return usage(err)
	}
	defer f.Close()
	err = fn(f, cmd.OutOrStdout())
	switch {
	case errors.Is(err, recording.ErrFormat):
		return usage(fmt.Errorf("%s: %w", name, err))
	case errors.Is(err, heatmap.ErrLarge):
		return usage(fmt.Errorf("--cells: %w", err))
	case errors.Is(err, access.ErrNothing), errors.Is(err, heatmap.ErrNothing), errors.Is(err, heatmap.ErrShort):
		if f.Damage != nil {
			err = fmt.Errorf("%w; %w", err, f.Damage)
		}
		return notMeasurable(fmt.Errorf("%s: %w", name, err))
	case err != nil:
		return err
	}
	if f.Damage != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "safevma: %s: %v; this is of what is whole\n", name, f.Damage)
		if errors.Is(f.Damage, recording.ErrCorrupt) {
			return &exit{status: exitFindings}
		}
	}
	return nil
}

// writeReport writes a report as text or as JSON.
func writeReport(out io.Writer, asJSON bool, report any, text func(*term.Writer)) error {
	if asJSON {
		return writeJSON(out, report)
	}
	w := term.NewWriter(out, os.Environ())
	text(w)
	if w.Err() != nil {
		return internal(w.Err())
	}
	return nil
}

func newReportAccess() *cobra.Command {
	var format output
	var all bool
	cmd := &cobra.Command{
		Use:   "access FILE",
		Short: "Show which memory was accessed at the end, how often and since when",
		Long: `Shows the last whole snapshot of each target: its regions with their size, in how many of the samples
they were accessed, and for how long that has been so; how much memory was accessed how long ago; and
how much has been hot, or cold, for how long.`,
		Example: "  safevma damon report access damon.svrec\n  safevma damon report access damon.svrec --all --output json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			return onRecording(cmd, args[0], func(f *recording.File, out io.Writer) error {
				r, err := access.ReadReport(f.Each)
				if err != nil {
					return err
				}
				return writeReport(out, asJSON, r, func(w *term.Writer) { w.Access(r, all) })
			})
		},
	}
	format.flag(cmd)
	cmd.Flags().BoolVarP(&all, "all", "a", false, "all regions, in the order of addresses")
	return cmd
}

func newReportWSS() *cobra.Command {
	var format output
	var o access.WSSOptions
	cmd := &cobra.Command{
		Use:   "wss FILE",
		Short: "Show how large the working set was",
		Long: `Shows how much memory was accessed within an aggregation: the percentiles of that by size, and how
it went over time. Snapshots that lack regions do not count.`,
		Example: "  safevma damon report wss damon.svrec\n  safevma damon report wss damon.svrec --accesses 5 --skip 20",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			if o.Skip < 0 {
				return usage(fmt.Errorf("--skip %d: want a number from 0 on", o.Skip))
			}
			return onRecording(cmd, args[0], func(f *recording.File, out io.Writer) error {
				r, err := access.ReadWSS(f.Each, o)
				if err != nil {
					return err
				}
				return writeReport(out, asJSON, r, func(w *term.Writer) { w.WorkingSets(r) })
			})
		},
	}
	format.flag(cmd)
	cmd.Flags().Uint64Var(&o.Accesses, "accesses", 1, "a region counts from so many accesses in an aggregation on")
	cmd.Flags().IntVar(&o.Skip, "skip", 0, "leave out so many snapshots at the beginning")
	return cmd
}

func newReportFootprint() *cobra.Command {
	var format output
	cmd := &cobra.Command{
		Use:     "footprint FILE",
		Short:   "Show how much memory the host and the watched processes used",
		Long:    `Shows percentiles of what was in memory of the watched processes, and not free on the host.`,
		Example: "  safevma damon report footprint damon.svrec",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			return onRecording(cmd, args[0], func(f *recording.File, out io.Writer) error {
				r, err := access.ReadFootprints(f.Each)
				if err != nil {
					return err
				}
				return writeReport(out, asJSON, r, func(w *term.Writer) { w.Footprints(r) })
			})
		},
	}
	format.flag(cmd)
	return cmd
}
