package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/pmem"
)

func newPoolCreate() *cobra.Command {
	var (
		size, log, span byteSize
		sparse          bool
	)
	cmd := &cobra.Command{
		Use:   "create FILE --size SIZE",
		Short: "Make an empty pool",
		Long: `Makes a file with an empty pool. A failure meanwhile leaves no file of that name, or the whole
pool. A file that is there is never overwritten.

Its space is allocated at once, so that a full disk is found now; with --sparse it is
allocated when it is used, and a full disk is an error of the program then.`,
		Example:           "  safevma pool create accounts.pool --size 64M\n  safevma pool create /mnt/pmem/big.pool --size 16G --log-size 8M --sparse",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: onePool,
		RunE: func(_ *cobra.Command, args []string) error {
			if size == 0 {
				return usage(errors.New("--size is missing: how many bytes the pool has, such as 64M"))
			}
			o := pmem.Options{LogSize: int64(log), SpanSize: int64(span), Sparse: sparse}
			p, err := pmem.Create(args[0], int64(size), o)
			if err == nil {
				err = p.Close()
			}
			return createError(args[0], err)
		},
	}
	cmd.Flags().Var(&size, "size", "how long the pool is: `bytes`, or with K, M, G or T")
	cmd.Flags().Var(&log, "log-size", "how long its log is in `bytes`; a transaction changes less (default: 1M, or a sixteenth of a small pool)")
	cmd.Flags().Var(&span, "span-size", "how its heap is divided in `bytes`: a power of two from 4K to 64K (default: 64K, or less for a small pool)")
	cmd.Flags().BoolVar(&sparse, "sparse", false, "allocate space when it is used")
	return cmd
}

// createError says whose fault it is that there is no pool.
func createError(name string, err error) error {
	var no syscall.Errno
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrExist):
		return usage(fmt.Errorf("%s: there is one already, and it is never overwritten: name another, or remove it", name))
	case errors.Is(err, os.ErrNotExist), !errors.As(err, &no):
		return usage(err)
	}
	return internal(err)
}
