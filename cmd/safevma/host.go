package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/internal/term"
	"github.com/safevma/safevma/kernel/host"
)

func newHost() *cobra.Command {
	var format output
	cmd := &cobra.Command{
		Use:   "host",
		Short: "Show what is known of the kernel and the machine, and what is not",
		Long: `Shows every fact of the host that bears on memory: its value, where it comes from, and for
what could not be read, why. The kernel's own defences are rated twice: against accidental
corruption, which is what safety asks, and against attack.

"safevma audit --host" says which guarantees follow.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			facts, err := host.New("", "").Read(cmd.Context())
			if err != nil {
				return internal(err)
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), facts)
			}
			w := term.NewWriter(cmd.OutOrStdout(), os.Environ())
			w.Host(facts)
			if err := w.Err(); err != nil {
				return internal(err)
			}
			return nil
		},
	}
	format.flag(cmd)
	return cmd
}
