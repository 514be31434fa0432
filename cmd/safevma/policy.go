package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/kernel/memfd"
)

// policyName is the hidden verb that the audit starts in foreign PID namespaces.
const policyName = "memfd-policy"

func newPolicy() *cobra.Command {
	return &cobra.Command{
		Use:    policyName,
		Short:  "Try what vm.memfd_noexec does in this PID namespace (started by audit)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := memfd.ServePolicy(os.NewFile(memfd.HelperFD, memfd.NoexecPath), cmd.OutOrStdout()); err != nil {
				return internal(err)
			}
			return nil
		},
	}
}

// policyHelper is this program, by its path, so that it shows under its name; by the link
// to itself where the path is no more.
func policyHelper() []string {
	exe, err := os.Executable()
	if err != nil || strings.HasSuffix(exe, " (deleted)") {
		exe = "/proc/self/exe"
	}
	return []string{exe, policyName}
}
