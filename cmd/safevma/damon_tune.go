package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/kernel/damon"
)

func newDAMONTune() *cobra.Command {
	var d damonChange
	cmd := &cobra.Command{
		Use:   "tune [paddr | PID…]",
		Short: "Change what DAMON does while it runs",
		Long: `Changes kdamonds that are there, and tells those that run: they stay the same threads, and what
they have seen is kept where the kernel can. Only what a plan or a flag names is changed (what
damo wrote is taken whole); flags are for the first kdamond and its first scheme. Where the
kernel refuses it, what was before is put back; an older kernel (6.12) ends a kdamond over that,
and then it runs again as a new thread, which is said.

Exit status as of "safevma damon start".`,
		Example: "  safevma damon tune --quota-bytes 256MiB --dry-run\n  safevma damon tune --plan plan.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := d.words.Targets(args); err != nil {
				return usage(err)
			}
			return d.do(cmd, func(ctx context.Context, c *damon.Control) (*damon.Change, error) {
				return c.Tune(ctx, func(now []damon.Kdamond) ([]damon.Kdamond, error) { return d.plan(cmd, now) })
			})
		},
		ValidArgsFunction: completePID,
	}
	d.planFlags(cmd)
	return cmd
}
