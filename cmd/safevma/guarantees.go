package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/guarantee"
)

func newGuarantees() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "guarantees [ID...]",
		Short: "Print the catalogue of guarantees",
		RunE: func(cmd *cobra.Command, args []string) error {
			chosen, err := choose(args)
			if err != nil {
				return usage(err)
			}
			out := cmd.OutOrStdout()
			switch format {
			case "text":
				writeGuarantees(out, chosen)
				return nil
			case "json":
				return writeJSON(out, chosen)
			case "markdown":
				if err := guarantee.WriteMarkdown(out); err != nil {
					return internal(err)
				}
				return nil
			}
			return usage(fmt.Errorf("--output %s: want text, json or markdown", format))
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "text", "`format`: text, json or markdown (the whole catalogue)")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json", "markdown"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func choose(ids []string) ([]guarantee.Requirement, error) {
	if len(ids) == 0 {
		return guarantee.Catalogue(), nil
	}
	var chosen []guarantee.Requirement
	for _, id := range ids {
		r, ok := guarantee.Find(id)
		if !ok {
			return nil, fmt.Errorf("there is no guarantee %q; \"safevma guarantees\" lists them", id)
		}
		chosen = append(chosen, r)
	}
	return chosen, nil
}

func writeGuarantees(w io.Writer, all []guarantee.Requirement) {
	for _, r := range all {
		fmt.Fprintf(w, "%s  %s\n", r.ID, r.Text)
		if r.Fault != "" {
			fmt.Fprintf(w, "           prevents: %s\n", r.Fault)
		}
		fmt.Fprintf(w, "           observed: %s\n", r.Observed)
	}
}
