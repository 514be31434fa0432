package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/kernel/damon"
)

func newDAMONStart() *cobra.Command {
	var d damonChange
	cmd := &cobra.Command{
		Use:   "start [paddr | PID…]",
		Short: "Watch memory, and act upon it, with DAMON",
		Long: `Sets up kdamonds and turns them on: for processes, for physical memory (paddr), or as a plan
says. What is left out is as the kernel has it; a scheme is there where one of its flags is
given. Numbers without a unit are in those of the kernel's file, and flags win over the plan.

Everything is read back and compared before anything is turned on; where something fails, what
was before is put back. The interface has one owner: what somebody else has made is left as it
is, unless --adopt is given, and nothing can be added to what runs.

Exit status: 0 it runs, 1 the kernel refused it, or keeps something otherwise, 2 the plan is
wrong, 3 it can't be done here: no DAMON, not root, somebody else's, or a value that this
kernel has no file for.`,
		Example: "  safevma damon start 812 --sample 5ms --aggr 100ms\n" +
			"  safevma damon start paddr --action pageout --age 600-max --quota-bytes 128MiB --quota-reset 1s --filter \"reject anon\" --dry-run\n" +
			"  safevma damon start --plan plan.yaml --output json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := d.words.Targets(args); err != nil {
				return usage(err)
			}
			want, err := d.plan(cmd, nil)
			if err != nil {
				return damonFailed(err)
			}
			return d.do(cmd, func(ctx context.Context, c *damon.Control) (*damon.Change, error) { return c.Start(ctx, want) })
		},
		ValidArgsFunction: completePID,
	}
	d.planFlags(cmd)
	return cmd
}
