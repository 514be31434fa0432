package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/term"
	"github.com/safevma/safevma/kernel/host"
)

// zonesSchema names the JSON of this verb.
const zonesSchema = "safevma.zones/v1"

func newZones() *cobra.Command {
	var format output
	cmd := &cobra.Command{
		Use:   "zones",
		Short: "Show the parts of the kernel's address space, and who can read them",
		Long: `Shows what can be seen of the kernel's own address space: the linear map with all memory, its
image, modules, the vmalloc area, vmemmap, the fixmap. For each: its size, the files that tell
of it and who may read those, and the ways by which its bytes can be read, with what each
takes. "open" means that this kernel lets whoever has those rights; "by probe" that it was
tried, "by inference" that it follows from the configuration and the lockdown mode. Files for
everybody hide addresses from most readers.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			reader := host.New("", "")
			facts, err := reader.Read(cmd.Context())
			if err != nil {
				return internal(err)
			}
			zones := reader.ZoneViews(facts)
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), struct {
					Schema string           `json:"schema"`
					Window guarantee.Window `json:"window"`
					Zones  []host.ZoneView  `json:"zones"`
				}{zonesSchema, facts.Window, zones})
			}
			w := term.NewWriter(cmd.OutOrStdout(), os.Environ())
			w.Zones(zones)
			if err := w.Err(); err != nil {
				return internal(err)
			}
			return nil
		},
	}
	format.flag(cmd)
	return cmd
}
