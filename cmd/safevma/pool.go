package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/inspect"
)

func newPool() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pool",
		Short: "Make persistent pools, check them, and look into them",
		Long: `A pool is a file with objects that programs keep by package pmem: it survives crashes, and
holds what is needed to show its objects without the program that made them.

All but create open the pool to read: they never change it, and a pool that a program has
open to write is refused. A pool that was not closed is shown as it will be when it is
opened: with the transactions in its log.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPoolCreate(), newPoolInfo(), newPoolCheck(), newPoolInspect(), newPoolDump())
	return cmd
}

// onPool opens a pool to be looked at.
func onPool(name string, look func(*inspect.Pool) error) error {
	p, err := inspect.Open(name)
	if err != nil {
		return poolError(err)
	}
	defer p.Close()
	return look(p)
}

// poolError says what a pool that can't be opened means.
func poolError(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.EISDIR):
		return usage(err)
	case errors.Is(err, inspect.ErrInUse), errors.Is(err, os.ErrPermission), errors.Is(err, pmem.ErrNoPool), errors.Is(err, pmem.ErrFormat):
		return notMeasurable(err)
	case errors.Is(err, pmem.ErrDamage):
		return &exit{exitFindings, fmt.Errorf("%w: see \"safevma pool check\"", err)}
	}
	return internal(err)
}

// onePool completes the name of one file.
func onePool(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveDefault
}

// byteSize is a flag: a number of bytes, or of K, M, G or T, which are powers of 1024.
type byteSize int64

// String implements pflag.Value.
func (s *byteSize) String() string { return strconv.FormatInt(int64(*s), 10) }

// Type implements pflag.Value.
func (s *byteSize) Type() string { return "bytes" }

// Set implements pflag.Value.
func (s *byteSize) Set(text string) error {
	digits, shift := text, 0
	if i := strings.IndexAny(text, "KMGT"); i >= 0 && i == len(text)-1 {
		digits, shift = text[:i], 10*(1+strings.IndexByte("KMGT", text[i]))
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 || n > 1<<62>>shift {
		return fmt.Errorf("%q is no size: want a number of bytes above 0, or one with K, M, G or T", text)
	}
	*s = byteSize(n << shift)
	return nil
}
