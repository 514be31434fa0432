package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/exposure"
	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/term"
	"github.com/safevma/safevma/kernel/process"
)

func newExposure() *cobra.Command {
	var format output
	var all bool
	var svg string
	cmd := &cobra.Command{
		Use:   "exposure PID",
		Short: "Show what lies beside the pages of a process in physical memory",
		Long: `Counts the pages of a process that have a slab of the kernel, a page table or a page of
another process as their physical neighbour (SV-LIN-02): the kernel maps all memory in one
piece, so what it writes past the end of one page lands in the next. Pages of secret memory
are outside of that map, and counted apart. Shown are the number, a picture of all physical
memory, and the VMAs with most exposed pages.

It needs root (CAP_SYS_ADMIN); without, the verdict is unknown and the exit status 3. All
page frames are looked at, which takes a second for some 50 GiB.`,
		Example:           "  safevma exposure 812\n  safevma exposure 812 --svg exposure.svg\n  safevma exposure self --output json",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeOnePID,
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			pid, err := parsePID(args[0])
			if err != nil {
				return err
			}
			return showExposure(cmd.Context(), cmd.OutOrStdout(), pid, asJSON, all, svg)
		},
	}
	format.flag(cmd)
	cmd.Flags().BoolVarP(&all, "all", "a", false, "all VMAs with pages in memory, in the order of addresses")
	cmd.Flags().StringVar(&svg, "svg", "", "also draw physical memory in this `file`")
	return cmd
}

func showExposure(ctx context.Context, out io.Writer, pid int, asJSON, all bool, svg string) error {
	var e *exposure.Exposure
	var hidden error
	err := reading(pid, func() (err error) {
		e, err = exposure.Read(ctx, process.Default(), pid)
		if errors.Is(err, process.ErrDenied) {
			hidden, err = err, nil
		}
		return err
	})
	if err != nil {
		return err
	}
	if hidden != nil {
		return unknownExposure(out, pid, asJSON, hidden)
	}
	if svg != "" {
		if err := writeSVG(svg, e); err != nil {
			return internal(err)
		}
	}
	if asJSON {
		err = e.WriteJSON(out)
	} else {
		w := term.NewWriter(out, os.Environ())
		w.Exposure(e, all)
		err = w.Err()
	}
	if err != nil {
		return internal(err)
	}
	if e.Verdict().Status == guarantee.Unknown {
		return &exit{status: exitNotMeasurable}
	}
	return nil
}

// unknownExposure tells of a process of which the frames are hidden.
func unknownExposure(out io.Writer, pid int, asJSON bool, why error) error {
	p, err := process.Default().Open(pid)
	if err != nil {
		return notMeasurable(err)
	}
	defer p.Close()
	v, err := exposure.Unknown(p, why)
	if err != nil {
		return notMeasurable(err)
	}
	if !asJSON {
		return notMeasurable(fmt.Errorf("%s: unknown: %w; run it as root", v.Requirement, why))
	}
	if err := exposure.WriteUnknown(out, v); err != nil {
		return internal(err)
	}
	return &exit{status: exitNotMeasurable}
}

// writeSVG makes the file, or leaves none that is not whole. What is no file (/dev/stdout) stays.
func writeSVG(name string, e *exposure.Exposure) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err = errors.Join(err, e.WriteSVG(file), file.Close()); err != nil && info != nil && info.Mode().IsRegular() {
		return errors.Join(err, os.Remove(name))
	}
	return err
}
