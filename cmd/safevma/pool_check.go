package main

import (
	"github.com/spf13/cobra"

	"github.com/safevma/safevma/pmem/fsck"
	"github.com/safevma/safevma/pmem/inspect"
)

func newPoolCheck() *cobra.Command {
	var format output
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Check a pool: checksums, what is said twice, and what its roots reach",
		Long: `Checks everything that a pool holds: superblocks, log, descriptors of spans, bitmaps, headers
and checksums of objects, types and their descriptors, roots, references, and whether each
object is reached from a root. Each problem has a kind, a place, and what can be done.

What one problem explains is not reported again. The pool is not changed.

Exit status: 0 clean, 1 problems, 3 it can't be checked here: a program has it open to write,
or its format is not known.`,
		Example:           "  safevma pool check accounts.pool\n  safevma pool check accounts.pool --output json",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: onePool,
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			m, err := inspect.OpenFile(args[0])
			if err != nil {
				return poolError(err)
			}
			defer m.Close()
			report, err := fsck.Check(cmd.Context(), m)
			if err != nil {
				return poolError(err)
			}
			if asJSON {
				err = report.WriteJSON(cmd.OutOrStdout())
			} else {
				err = report.WriteText(cmd.OutOrStdout())
			}
			if err != nil {
				return internal(err)
			}
			if !report.Clean() {
				return &exit{status: exitFindings}
			}
			return nil
		},
	}
	format.flag(cmd)
	return cmd
}
