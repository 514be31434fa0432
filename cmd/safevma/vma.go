package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/audit"
	"github.com/safevma/safevma/internal/term"
	"github.com/safevma/safevma/kernel/process"
)

func newVMA() *cobra.Command {
	var format output
	cmd := &cobra.Command{
		Use:               "vma PID",
		Short:             "Show the address space of a process",
		Long:              "Shows every VMA of a process: what it allows, how large it is, how much of it is in\nmemory, what stands behind it, and what is special about it in words.",
		Example:           "  safevma vma 812\n  safevma vma self --output json",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeOnePID,
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			pid, err := parsePID(args[0])
			if err != nil {
				return err
			}
			var space *audit.Space
			if err := reading(pid, func() (err error) {
				space, err = audit.ReadSpace(process.Default(), pid)
				return err
			}); err != nil {
				return err
			}
			if asJSON {
				err = audit.WriteSpace(cmd.OutOrStdout(), space)
			} else {
				w := term.NewWriter(cmd.OutOrStdout(), os.Environ())
				w.Space(space)
				err = w.Err()
			}
			if err != nil {
				return internal(err)
			}
			return nil
		},
	}
	format.flag(cmd)
	return cmd
}
