package main

import (
	"github.com/spf13/cobra"

	"github.com/safevma/safevma/pmem/inspect"
)

func newPoolDump() *cobra.Command {
	var format output
	cmd := &cobra.Command{
		Use:   "dump FILE",
		Short: "Write everything that a pool holds, a line each",
		Long: `Writes the types, the roots and every object of a pool, reached or not, in order of their
offsets, a line each: as text, or as JSON with one document a line. The same pool gives the
same lines. The last line is "end": where it is missing, the output was cut off.

Exit status: 1 if something is damaged; that has lines of its own.`,
		Example:           "  safevma pool dump accounts.pool\n  safevma pool dump accounts.pool --output json | jq 'select(.kind == \"object\").value'",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: onePool,
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			return onPool(args[0], func(p *inspect.Pool) error {
				end, err := p.Dump(cmd.Context(), cmd.OutOrStdout(), asJSON)
				switch {
				case err != nil:
					return internal(err)
				case end.Damages > 0:
					return &exit{status: exitFindings}
				}
				return nil
			})
		},
	}
	format.flag(cmd)
	return cmd
}
