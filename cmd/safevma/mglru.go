package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/term"
	"github.com/safevma/safevma/kernel/mglru"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/watch"
)

func newMGLRU() *cobra.Command {
	var format output
	var all bool
	cmd := &cobra.Command{
		Use:   "mglru",
		Short: "Show the multi-generational LRU: which memory was used when",
		Long: `Shows whether the kernel reclaims by generations of pages, and for each memory cgroup and NUMA
node the generations: how much memory has been idle for how long, as far as the kernel has
looked. It changes nothing; "mglru age" and "mglru evict" do. Generations are in debugfs, which takes root; a kernel without
them (CONFIG_LRU_GEN), or a reader who can't see them, gives exit status 3.`,
		Example: "  safevma mglru\n  safevma mglru --output json\n  safevma mglru lint",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			from := time.Now()
			r, err := mglru.Default().Read(asJSON)
			switch {
			case errors.Is(err, mglru.ErrAbsent), errors.Is(err, mglru.ErrDenied):
				return notMeasurable(err)
			case err != nil:
				return internal(err)
			}
			r.PageSize, r.Window = uint64(os.Getpagesize()), guarantee.Since(from)
			if asJSON {
				err = r.WriteJSON(cmd.OutOrStdout())
			} else {
				w := term.NewWriter(cmd.OutOrStdout(), os.Environ())
				w.MGLRU(r, all)
				err = w.Err()
			}
			if err != nil {
				return internal(err)
			}
			if r.Unseen != nil {
				return &exit{status: exitNotMeasurable}
			}
			return nil
		},
	}
	format.flag(cmd)
	cmd.Flags().BoolVarP(&all, "all", "a", false, "all groups, also those without memory")
	cmd.AddCommand(newMGLRUAge(), newMGLRUEvict(), newMGLRULint())
	return cmd
}

func newMGLRULint() *cobra.Command {
	var format output
	cmd := &cobra.Command{
		Use:   "lint [PID…]",
		Short: "Find mappings whose pages are reclaimed first because of advice",
		Long: `Finds mappings with MADV_RANDOM or MADV_SEQUENTIAL, of all processes or of those that are
named. The kernel does not look at the accessed bit of pages that are mapped for sequential
access, and since Linux 6.3 of those for random access, whether it reclaims by generations or by
the older lists: under pressure they go first, however hot.

Exit status: 0 there is none, 1 there are some, 3 some processes could not be read.`,
		Example:           "  safevma mglru lint\n  safevma mglru lint 812 --output json",
		ValidArgsFunction: completePID,
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			var pids []int
			for _, arg := range args {
				pid, err := parsePID(arg)
				if err != nil {
					return err
				}
				pids = append(pids, pid)
			}
			r, err := findAdvised(cmd.Context(), pids)
			if err != nil {
				return internal(err)
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), r)
			} else {
				w := term.NewWriter(cmd.OutOrStdout(), os.Environ())
				w.Recency(r)
				err = w.Err()
			}
			if err != nil {
				return internal(err)
			}
			c := &r.Coverage
			switch {
			case len(r.Advised) > 0:
				return &exit{status: exitFindings}
			case len(c.Denied)+len(c.Failed) > 0, len(pids) > 0 && len(c.Gone) > 0:
				return &exit{status: exitNotMeasurable}
			}
			return nil
		},
	}
	format.flag(cmd)
	return cmd
}

func findAdvised(ctx context.Context, pids []int) (*watch.Recency, error) {
	progress := term.NewProgress(os.Stderr, "reading processes")
	defer progress.Done()
	return watch.FindAdvised(ctx, process.Default(), pids, progress.Step)
}
