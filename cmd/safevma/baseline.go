package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/audit"
	"github.com/safevma/safevma/audit/manifest"
	"github.com/safevma/safevma/kernel/process"
)

func newBaseline() *cobra.Command {
	var (
		looks int
		pause time.Duration
		slack float64
		file  string
	)
	cmd := &cobra.Command{
		Use:   "baseline PID",
		Short: "Write the expected VMAs of a program, from a run of it",
		Long: `Writes a manifest: the VMAs that a program is expected to have, without their addresses.
Review it, keep it with the program, and hold later runs against it with
"safevma audit --manifest". Take it when the program has started up and done each thing
that it does once.`,
		Example:           "  safevma baseline 812 > brake.yaml\n  safevma baseline 812 --looks 10 --pause 1s --slack 1.2 --file brake.yaml\n  safevma audit --pid 915 --manifest brake.yaml",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeOnePID,
		RunE: func(cmd *cobra.Command, args []string) error {
			pid, err := parsePID(args[0])
			if err != nil {
				return err
			}
			if looks < 1 || slack < 1 || pause < 0 {
				return usage(fmt.Errorf("want --looks and --slack of at least 1, and no negative --pause"))
			}
			var m *manifest.Manifest
			if err := reading(pid, func() (err error) {
				m, err = audit.Baseline(cmd.Context(), process.Default(), pid, looks, pause, slack)
				return err
			}); err != nil {
				return err
			}
			comment := fmt.Sprintf("Expected VMAs of %s, made by \"safevma baseline\" on %s from %d looks at process %d.\nReview it: what stands here is allowed.",
				m.Program.Exe, time.Now().UTC().Format(time.RFC3339), looks, pid)
			if file == "" {
				if err := m.Write(cmd.OutOrStdout(), comment); err != nil {
					return internal(err)
				}
				return nil
			}
			f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
			if errors.Is(err, os.ErrExist) {
				return usage(fmt.Errorf("--file %s: there is one already, and it is never overwritten: name another, or remove it", file))
			}
			if err != nil {
				return usage(fmt.Errorf("--file: %w", err))
			}
			if err := m.Write(f, comment); err != nil {
				f.Close()
				return internal(err)
			}
			if err := f.Close(); err != nil {
				return internal(err)
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&looks, "looks", 1, "look so often; what is not there each time is not required")
	cmd.Flags().DurationVar(&pause, "pause", time.Second, "wait so long between looks")
	cmd.Flags().Float64Var(&slack, "slack", 1.5, "let memory without a file grow to so many times what was seen")
	cmd.Flags().StringVarP(&file, "file", "f", "", "write to this new `file`, not to standard output")
	return cmd
}
