package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/inspect"
)

func newPoolInspect() *cobra.Command {
	var (
		format output
		limits inspect.Limits
		object int64
	)
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Show the types, the roots and the objects of a pool",
		Long: `Shows the types that a pool knows, its roots, and from them on the objects that they reach,
each below what refers to it, with the values of its fields. That needs nothing of the
program that made them: the pool describes its types.

With --object it shows one object, whole.

Exit status: 1 if something that was shown is damaged.`,
		Example:           "  safevma pool inspect accounts.pool\n  safevma pool inspect accounts.pool --depth 2 --limit 100\n  safevma pool inspect accounts.pool --object 49216",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: onePool,
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			if limits.Depth < 0 || limits.Objects < 0 || object < 0 {
				return usage(errors.New("want no negative --depth, --limit or --object"))
			}
			return onPool(args[0], func(p *inspect.Pool) error {
				if cmd.Flags().Changed("object") {
					return showObject(cmd.OutOrStdout(), p, object, asJSON)
				}
				tree, err := p.Tree(limits)
				if err != nil {
					return poolError(err)
				}
				return show(cmd.OutOrStdout(), tree, asJSON)
			})
		},
	}
	limits.Elements = 32
	cmd.Flags().IntVar(&limits.Depth, "depth", 8, "how many references away from a root; 0 is all")
	cmd.Flags().IntVar(&limits.Objects, "limit", 1000, "how many objects; 0 is all")
	cmd.Flags().Int64Var(&object, "object", 0, "the object that begins at an `offset`, alone and whole")
	format.flag(cmd)
	return cmd
}

func showObject(w io.Writer, p *inspect.Pool, off int64, asJSON bool) error {
	o, err := p.Object(off)
	if errors.Is(err, pmem.ErrReference) || errors.Is(err, pmem.ErrStale) {
		return usage(fmt.Errorf("--object %d: no object begins there", off))
	}
	if err != nil {
		return poolError(err)
	}
	return show(w, o, asJSON)
}

// shown is what can be damaged, and says so.
type shown interface {
	WriteText(io.Writer) error
	Damaged() bool
}

func show(w io.Writer, v shown, asJSON bool) error {
	var err error
	if asJSON {
		err = writeJSON(w, v)
	} else {
		err = v.WriteText(w)
	}
	if err != nil {
		return internal(err)
	}
	if v.Damaged() {
		return &exit{status: exitFindings}
	}
	return nil
}
