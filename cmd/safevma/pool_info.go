package main

import (
	"github.com/spf13/cobra"

	"github.com/safevma/safevma/pmem/inspect"
)

func newPoolInfo() *cobra.Command {
	var format output
	cmd := &cobra.Command{
		Use:   "info FILE",
		Short: "Show where a pool is, how it is divided, and what opening it would do",
		Long: `Shows the medium of a pool and what survives there, the NUMA nodes of the memory and of this
program, the page size, the format, sizes, how much of the log and the heap is in use, and
what opening the pool would replay.`,
		Example:           "  safevma pool info accounts.pool",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: onePool,
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			return onPool(args[0], func(p *inspect.Pool) error {
				info := p.Info()
				if asJSON {
					return writeJSON(cmd.OutOrStdout(), info)
				}
				if err := info.WriteText(cmd.OutOrStdout()); err != nil {
					return internal(err)
				}
				return nil
			})
		},
	}
	format.flag(cmd)
	return cmd
}
