package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/internal/term"
	"github.com/safevma/safevma/kernel/cgroup"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/psi"
	"github.com/safevma/safevma/watch"
)

func newPSI() *cobra.Command {
	var format output
	var group string
	var all bool
	cmd := &cobra.Command{
		Use:   "psi",
		Short: "Show the time that tasks lose waiting for memory, I/O or the CPU",
		Long: `Shows pressure stall information: in how much of the time some, or all, tasks could not go
on for want of memory, I/O or the CPU; of the host, and of the control groups that had to do
with pressure on memory. Groups of version 2 count pressure; those with the memory
controller, of either version, have limits and events. "psi watch" waits for pressure.

Where pressure of the host is not counted (psi=0, CONFIG_PSI), the exit status is 3.`,
		Example: "  safevma psi\n  safevma psi --cgroup /system.slice --output json\n  safevma psi watch memory --for 1m",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			p, err := watch.ReadPressure(process.Default().Root(), group)
			if err != nil {
				return groupError(group, err)
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), p)
			} else {
				w := term.NewWriter(cmd.OutOrStdout(), os.Environ())
				w.Pressure(p, all || group != "")
				err = w.Err()
			}
			if err != nil {
				return internal(err)
			}
			if !slices.ContainsFunc(p.Host, func(r watch.Reading) bool { return r.Pressure != nil }) {
				return &exit{status: exitNotMeasurable}
			}
			return nil
		},
	}
	format.flag(cmd)
	groupFlag(cmd, &group)
	cmd.Flags().BoolVarP(&all, "all", "a", false, "all groups, also those without pressure on memory")
	cmd.AddCommand(newPSIWatch())
	return cmd
}

func groupFlag(cmd *cobra.Command, group *string) {
	cmd.Flags().StringVar(group, "cgroup", "", "this control group alone, by its `path` as in /proc/PID/cgroup")
	_ = cmd.RegisterFlagCompletionFunc("cgroup", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var paths []cobra.Completion
		for _, controller := range []string{"", "memory"} {
			refs, _ := cgroup.Default().Groups(controller)
			for _, ref := range refs {
				paths = append(paths, ref.Path)
			}
		}
		return paths, cobra.ShellCompDirectiveNoFileComp
	})
}

func groupError(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return notMeasurable(fmt.Errorf("there is no control group %s", path))
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, cgroup.ErrNoController) {
		return notMeasurable(err)
	}
	return internal(err)
}

func newPSIWatch() *cobra.Command {
	var format output
	var group, trigger string
	var duration time.Duration
	cmd := &cobra.Command{
		Use:   "watch [memory|io|cpu|irq…]",
		Short: "Wait for pressure, and tell of it as it comes",
		Long: `Sets a trigger of the kernel on each resource (memory where none is named), of the host or of
a control group, and writes a line for each event; as JSON, one document a line.

Without CAP_SYS_RESOURCE the kernel takes windows of a multiple of 2 seconds alone: the
trigger is widened in proportion then, and the first line says so. An event is pressure only
where the sum of stalls has grown by the threshold; others are told as false. A group of
version 1 counts no pressure: of its memory the levels are told that the kernel has there
(low: memory is reclaimed; medium, critical, oom), each at most once a second.

Exit status with --for: 0 there was no pressure, 1 there was some.`,
		Example:   "  safevma psi watch\n  safevma psi watch memory io --trigger 'full 50ms/2s' --for 1m\n  safevma psi watch --cgroup /system.slice --output json",
		ValidArgs: []string{string(psi.Memory), string(psi.IO), string(psi.CPU), string(psi.IRQ)},
		Args:      cobra.OnlyValidArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			spec, err := psi.ParseSpec(trigger)
			if err != nil {
				return usage(fmt.Errorf("--trigger: %w", err))
			}
			targets, old, err := psiTargets(args, group)
			if err != nil {
				return err
			}
			show := eventWriter(cmd, asJSON)
			ctx := cmd.Context()
			if duration > 0 {
				limited, stop := context.WithTimeout(ctx, duration)
				defer stop()
				ctx = limited
			}
			if old != nil {
				return watched(watch.WatchLevels(ctx, *old, show))
			}
			return watched(watch.Watch(ctx, targets, spec, show))
		},
	}
	format.flag(cmd)
	groupFlag(cmd, &group)
	cmd.Flags().StringVar(&trigger, "trigger", "some 100ms/2s", "what to wait for: `some|full STALL/WINDOW`")
	cmd.Flags().DurationVar(&duration, "for", 0, "stop after this `time`; 0 goes on")
	return cmd
}

// psiTargets returns what to set triggers on; or a group of version 1, which has levels of
// pressure on memory instead.
func psiTargets(resources []string, group string) ([]watch.Target, *cgroup.Ref, error) {
	if len(resources) == 0 {
		resources = []string{string(psi.Memory)}
	}
	slices.Sort(resources)
	var targets []watch.Target
	for _, r := range slices.Compact(resources) {
		target := watch.Target{Name: r, Path: process.Default().Path("pressure", r)}
		if group != "" {
			ref, err := cgroup.Default().Find(group)
			if err != nil {
				return nil, nil, groupError(group, err)
			}
			if ref.Version == 1 && len(resources) == 1 && r == string(psi.Memory) {
				return nil, &ref, nil
			}
			target = watch.Target{Name: r + " of " + ref.Path, Path: filepath.Join(ref.Dir, r+".pressure")}
		}
		targets = append(targets, target)
	}
	return targets, nil, nil
}

func eventWriter(cmd *cobra.Command, asJSON bool) func(watch.Event) error {
	if asJSON {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetEscapeHTML(false)
		return func(e watch.Event) error { return enc.Encode(e) }
	}
	w := term.NewWriter(cmd.OutOrStdout(), os.Environ())
	return func(e watch.Event) error {
		w.PressureEvent(e)
		return w.Err()
	}
}

func watched(confirmed int, err error) error {
	switch {
	case errors.Is(err, psi.ErrAbsent), errors.Is(err, psi.ErrOff), errors.Is(err, fs.ErrPermission):
		return notMeasurable(err)
	case err != nil:
		return internal(err)
	case confirmed > 0:
		return &exit{status: exitFindings}
	}
	return nil
}
