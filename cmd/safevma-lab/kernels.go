package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/lab/debian"
)

func newKernels() *cobra.Command {
	var fetch bool
	var arch string
	var debs []string
	cmd := &cobra.Command{
		Use:   "kernels [SERIES…]",
		Short: "List the kernels that are here, or fetch some",
		Long: `Without arguments: the kernels that are in the cache. With series (6.1, 6.12, newest):
fetches those that are not, from Debian's packages; with --fetch, also looks whether there
is a newer one of the series. The machine's own package sources stay as they are.`,
		RunE: func(cmd *cobra.Command, series []string) error {
			if fetch && len(series) == 0 {
				return fmt.Errorf("--fetch: name the series, such as 6.12 or newest")
			}
			if arch != "amd64" && arch != "arm64" {
				return fmt.Errorf("--arch %s: want amd64 or arm64", arch)
			}
			lab, err := newLab()
			if err != nil {
				return &exit{exitInternal, err}
			}
			cache := lab.Kernels()
			if len(debs) > 0 {
				if _, err := cache.Add(cmd.Context(), debs); err != nil {
					return &exit{exitInternal, err}
				}
			}
			get := cache.Get
			if fetch {
				get = cache.Fetch
			}
			for _, s := range series {
				if _, err := get(cmd.Context(), s, arch); err != nil {
					return &exit{exitInternal, err}
				}
			}
			return list(cmd, cache)
		},
	}
	cmd.Flags().BoolVar(&fetch, "fetch", false, "look for newer kernels of the series")
	cmd.Flags().StringVar(&arch, "arch", "amd64", "amd64 or arm64")
	cmd.Flags().StringArrayVar(&debs, "deb", nil, "take a kernel from package `files` that are here already")
	return cmd
}

func list(cmd *cobra.Command, cache *debian.Cache) error {
	kernels, err := cache.Kernels()
	if err != nil {
		return &exit{exitInternal, err}
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
	for _, k := range kernels {
		fmt.Fprintf(w, "%s\t%s\t%s\n", k.Series, k.Arch, k.Release)
	}
	if err := w.Flush(); err != nil {
		return &exit{exitInternal, err}
	}
	return nil
}
