package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/audit"
	"github.com/safevma/safevma/internal/term"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

func newVMA() *cobra.Command {
	var format output
	cmd := &cobra.Command{
		Use:     "vma PID",
		Short:   "Show the address space of a process",
		Long:    "Shows every VMA of a process: what it allows, how large it is, how much of it is in\nmemory, what stands behind it, and what is special about it in words.",
		Example: "  safevma vma 812\n  safevma vma self --output json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			space, err := readSpace(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return audit.WriteSpace(cmd.OutOrStdout(), space)
			}
			w := term.NewWriter(cmd.OutOrStdout(), os.Environ())
			w.Space(space, os.Stdout)
			return w.Err()
		},
	}
	format.flag(cmd)
	return cmd
}

func parsePID(arg string) (int, error) {
	if arg == "self" {
		return os.Getpid(), nil
	}
	pid, err := strconv.Atoi(arg)
	if err != nil || pid <= 0 {
		return 0, usage(fmt.Errorf("%q is not a process id: want a number, or self", arg))
	}
	return pid, nil
}

func readSpace(arg string) (*audit.Space, error) {
	pid, err := parsePID(arg)
	if err != nil {
		return nil, err
	}
	space, err := audit.ReadSpace(process.Default(), pid)
	return space, readError(err)
}

// readError gives an error of reading a process its exit status: it is not this
// program's fault.
func readError(err error) error {
	if errors.Is(err, process.ErrGone) || errors.Is(err, process.ErrDenied) || errors.Is(err, vma.ErrNoAddressSpace) {
		return &exit{exitNotMeasurable, err}
	}
	if err != nil {
		return internal(err)
	}
	return nil
}
