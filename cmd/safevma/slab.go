package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/internal/term"
	"github.com/safevma/safevma/kernel/slab"
)

func newSlab() *cobra.Command {
	var format output
	var all bool
	var try int
	cmd := &cobra.Command{
		Use:   "slab [CACHE…]",
		Short: "Show the kernel's caches of small objects, and which of them are one cache",
		Long: `Shows the caches of the kernel's allocator of small objects (SLUB). The kernel merges caches
whose objects have the same size: objects of different parts of the kernel then lie side by
side, and one that is written past its end changes another part's. Shown are those caches
that hold objects of several domains; with --all, or named, any. Which domain a name belongs
to is this program's reading of it, not the kernel's.

With --try, this program makes that many small objects (locks on bytes of a file of its own),
gives them back on the same and on another CPU, and shows how the lists of the cache change.

Names are for everybody, numbers for root: without them the exit status is 3.`,
		Example: "  safevma slab\n  safevma slab --all --output json\n  safevma slab cred key_jar\n  safevma slab --try 2000",
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			if try < 0 || try > tryMost {
				return usage(fmt.Errorf("--try %d: want a number up to %d", try, tryMost))
			}
			report, err := readSlab(cmd.Context(), args, try)
			if err != nil {
				return err
			}
			if asJSON {
				err = report.WriteJSON(cmd.OutOrStdout())
			} else {
				w := term.NewWriter(cmd.OutOrStdout(), os.Environ())
				w.Slab(report, all || len(args) > 0)
				err = w.Err()
			}
			if err != nil {
				return internal(err)
			}
			if t := report.Totals(); t.Denied+t.Failed > 0 {
				return &exit{status: exitNotMeasurable}
			}
			return nil
		},
		ValidArgsFunction: completeCache,
	}
	format.flag(cmd)
	cmd.Flags().BoolVarP(&all, "all", "a", false, "all caches, not only those of several domains")
	cmd.Flags().IntVar(&try, "try", 0, "make so many objects, and see on which lists they end: `number`")
	return cmd
}

// tryMost bounds the kernel memory that --try asks for, and its time: the kernel walks
// the list of the locks for each new one.
const tryMost = 10000

func readSlab(ctx context.Context, names []string, try int) (*slab.Report, error) {
	from := time.Now()
	kernel := slab.Default()
	r := &slab.Report{PageSize: uint64(os.Getpagesize())}
	var err error
	if len(names) == 0 {
		r.Caches, err = kernel.List()
	}
	for _, name := range names {
		var c slab.Cache
		if c, err = kernel.Find(name); err != nil {
			break
		}
		if !slices.ContainsFunc(r.Caches, func(have slab.Cache) bool { return have.ID == c.ID }) { // a cache has many names
			r.Caches = append(r.Caches, c)
		}
	}
	if err == nil && try > 0 {
		r.Exercises, err = exercise(ctx, kernel, try)
	}
	r.Window = guarantee.Since(from)
	switch {
	case errors.Is(err, slab.ErrAbsent), errors.Is(err, slab.ErrDenied):
		return nil, notMeasurable(err)
	case err != nil:
		return nil, internal(err)
	}
	return r, nil
}

// exercise frees on the CPU that allocates, then on the farthest.
func exercise(ctx context.Context, kernel slab.FS, n int) ([]slab.Exercise, error) {
	cpus, err := sys.CPUs()
	if err != nil {
		return nil, err
	}
	var all []slab.Exercise
	first := cpus[0]
	for i, to := range []int{first, cpus[len(cpus)-1]} {
		if i > 0 && to == first {
			break
		}
		e, err := kernel.Exercise(ctx, os.TempDir(), n, first, to)
		if err != nil {
			return nil, err
		}
		all = append(all, *e)
	}
	return all, nil
}

func completeCache(_ *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	caches, err := slab.Default().Names()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []cobra.Completion
	for _, c := range caches {
		names = append(names, c.Names...)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
