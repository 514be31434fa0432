package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/guarantee"
)

// version is set by the linker for releases.
var version = ""

// tool names this program in reports.
func tool() guarantee.Tool {
	if version != "" {
		return guarantee.Tool{Name: "safevma", Version: version}
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return guarantee.Tool{Name: "safevma", Version: info.Main.Version}
	}
	return guarantee.Tool{Name: "safevma", Version: "(devel)"}
}

func newVersion() *cobra.Command {
	var format output
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Say which version this is",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(tool())
			}
			fmt.Fprintf(cmd.OutOrStdout(), "safevma %s (%s, %s/%s)\n", tool().Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
	format.flag(cmd)
	return cmd
}
