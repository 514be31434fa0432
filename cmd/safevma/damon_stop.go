package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/kernel/damon"
)

func newDAMONStop() *cobra.Command {
	var d damonChange
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "Stop what safevma damon start has set up",
		Long: `Turns kdamonds off, and removes what safevma has made; what was adopted stays set up, and is off.
What somebody else has made is left as it is, unless --adopt is given. Modules (damon_reclaim
and others) are not the interface's; this does not stop them.

Exit status: 0 it is off, 1 the kernel refused it, 3 it can't be done here: no DAMON, not root,
nothing there, or somebody else's.`,
		Example: "  safevma damon stop\n  safevma damon stop --dry-run",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.do(cmd, func(ctx context.Context, c *damon.Control) (*damon.Change, error) { return c.Stop(ctx) })
		},
	}
	d.flags(cmd)
	return cmd
}
