package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/audit"
	"github.com/safevma/safevma/internal/term"
	"github.com/safevma/safevma/kernel/process"
)

func newMemfd() *cobra.Command {
	var format output
	cmd := &cobra.Command{
		Use:   "memfd",
		Short: "List all memfds and all secret memory, and who holds, maps and runs each",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			progress := term.NewProgress(os.Stderr, "reading processes")
			list, err := audit.ListMemfds(cmd.Context(), process.Default(), progress.Step)
			progress.Done()
			if err != nil {
				return internal(err)
			}
			if asJSON {
				err = list.WriteJSON(cmd.OutOrStdout())
			} else {
				w := term.NewWriter(cmd.OutOrStdout(), os.Environ())
				w.Memfds(list.Files)
				w.Missed(&list.Coverage)
				err = w.Err()
			}
			if err != nil {
				return internal(err)
			}
			if len(list.Coverage.Denied)+len(list.Coverage.Failed) > 0 {
				return &exit{status: exitNotMeasurable}
			}
			return nil
		},
	}
	format.flag(cmd)
	return cmd
}
