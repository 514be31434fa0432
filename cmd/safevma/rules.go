package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/rules"
)

func newRules() *cobra.Command {
	var format output
	cmd := &cobra.Command{
		Use:   "rules [PACK|FILE...]",
		Short: "List the rules of packs, or check rule files",
		Long: `Lists the rules of the named packs or files, and all embedded packs without one. A file
that has a mistake is refused, with file, line and reason: so this also checks rules.`,
		Example: "  safevma rules\n  safevma rules my-rules.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				args = rules.EmbeddedNames()
			}
			all, err := loadRules(args)
			if err != nil {
				return usage(err)
			}
			out := cmd.OutOrStdout()
			if asJSON {
				return writeJSON(out, all)
			}
			for _, r := range all {
				fmt.Fprintf(out, "%-8s %s  %-9s %s/%s\n    %s\n", r.Severity, r.Requirement, r.Subject, r.Pack, r.ID, strings.TrimSpace(r.Means))
			}
			return nil
		},
	}
	format.flag(cmd)
	return cmd
}
