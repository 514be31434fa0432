package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/lab/feature"
)

func newFeatures() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "features",
		Short: "Say what this kernel and machine can do, by experiment",
		Long: `Tries each feature that tests of safevma may need, with a control. Outside the lab,
features whose experiment would change the host are unknown.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := feature.ProbeAll()
			if err != nil {
				return &exit{exitInternal, err}
			}
			switch output {
			case "text":
				err = report.Text(cmd.OutOrStdout())
			case "json":
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				err = enc.Encode(report)
			default:
				return fmt.Errorf("--output %s: want text or json", output)
			}
			if err != nil {
				return &exit{exitInternal, err}
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "`format`: text or json")
	return cmd
}
