package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/internal/term"
	"github.com/safevma/safevma/watch/heatmap"
	"github.com/safevma/safevma/watch/recording"
)

// heatmapFormats are what a picture can be.
var heatmapFormats = []string{"text", "json", "svg", "png", "html"}

// The cells of pictures that are no text.
const (
	heatmapTimes     = 240
	heatmapAddresses = 120
)

func newReportHeatmap() *cobra.Command {
	var format, cells, target, addresses string
	var last time.Duration
	var once bool
	cmd := &cobra.Command{
		Use:   "heatmap FILE",
		Short: "Draw when which memory was accessed how often",
		Long: `Draws a target of the recording: time to the right, addresses upwards. As text it fills the terminal, or
80 columns and 24 rows where there is none, with digits from 0 to 9 and colours; svg, png and html are for
files: the page needs nothing else, and can be zoomed. Cells are computed as damo does.

Without --target, the target with most memory is drawn; without --addresses, that range of it without gaps
that was accessed most; without --last, from the time on since which the first snapshot says that its
regions have been so.`,
		Example: "  safevma damon report heatmap damon.svrec\n  safevma damon report heatmap damon.svrec --output html > heatmap.html\n" +
			"  safevma damon report heatmap damon.svrec --target 812:0 --addresses 0x100000000-0x140000000 --cells 100x50",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(heatmapFormats, format) {
				return usage(fmt.Errorf("--output %s: want %s", format, strings.Join(heatmapFormats, ", ")))
			}
			o, err := heatmapOptions(format, cells, target, addresses)
			if err != nil {
				return err
			}
			o.Once = once
			if o.Last = last; last < 0 {
				return usage(fmt.Errorf("--last %s: want a time above 0", last))
			}
			if format == "png" && term.IsTerminal(os.Stdout) {
				return usage(fmt.Errorf("--output png: this is no text; write it to a file: > heatmap.png"))
			}
			return onRecording(cmd, args[0], func(f *recording.File, out io.Writer) error {
				m, err := heatmap.Draw(f.Each, o)
				if err != nil {
					return err
				}
				return writeHeatmap(out, format, m)
			})
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "text", "`format`: "+strings.Join(heatmapFormats, ", "))
	cmd.Flags().StringVar(&cells, "cells", "", "how many cells, `TIMESxADDRESSES`")
	cmd.Flags().StringVar(&target, "target", "", "what is drawn, `THREAD:TARGET`, as reports name it")
	cmd.Flags().StringVar(&addresses, "addresses", "", "which addresses are drawn, `START-END`")
	cmd.Flags().DurationVar(&last, "last", 0, "draw so much of the end of the recording, as 90s")
	cmd.Flags().BoolVar(&once, "once", false, "count each moment once, where damo counts the age of a region again in cells of several snapshots")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(heatmapFormats, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func writeHeatmap(out io.Writer, format string, m *heatmap.Map) error {
	switch format {
	case "json":
		return writeJSON(out, m.Report())
	case "text":
		return writeReport(out, false, nil, func(w *term.Writer) { w.Heatmap(m) })
	}
	write := map[string]func(io.Writer) error{"svg": m.WriteSVG, "png": m.WritePNG, "html": m.WriteHTML}[format]
	err := write(out)
	if err == nil || errors.Is(err, heatmap.ErrLarge) {
		return err
	}
	return internal(err)
}

func heatmapOptions(format, cells, target, addresses string) (o heatmap.Options, err error) {
	o.Times, o.Addresses = heatmapTimes, heatmapAddresses
	if format == "text" {
		o.Times, o.Addresses = term.HeatmapRoom(os.Stdout)
	}
	if cells != "" {
		a, b, ok := two(cells, "x")
		if !ok || a < 1 || b < 1 || a > 1<<20 || b > 1<<20 {
			return o, usage(fmt.Errorf("--cells %s: want two numbers from 1 on, as 80x40", cells))
		}
		o.Times, o.Addresses = int(a), int(b)
	}
	if target != "" {
		a, b, ok := two(target, ":")
		if !ok || a > 1<<31 {
			return o, usage(fmt.Errorf("--target %s: want two numbers, as 812:0", target))
		}
		o.Target = &heatmap.Key{Thread: int(a), Target: b}
	}
	if addresses != "" {
		a, b, ok := two(addresses, "-")
		if !ok || b <= a {
			return o, usage(fmt.Errorf("--addresses %s: want two addresses, as 0x1000-0x2000", addresses))
		}
		o.Range = &heatmap.Range{Start: a, End: b}
	}
	return o, nil
}

// two parses two numbers with a sign between them.
func two(text, sign string) (a, b uint64, ok bool) {
	first, second, ok := strings.Cut(text, sign)
	a, err1 := strconv.ParseUint(first, 0, 64)
	b, err2 := strconv.ParseUint(second, 0, 64)
	return a, b, ok && err1 == nil && err2 == nil
}
