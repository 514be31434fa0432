package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/internal/term"
	"github.com/safevma/safevma/kernel/tracefs"
	"github.com/safevma/safevma/watch/access"
)

// recordingName is what a recording is called where nobody says.
const recordingName = "damon.svrec"

func newDAMONRecord() *cobra.Command {
	var o access.RecordOptions
	var most byteSize
	cmd := &cobra.Command{
		Use:   "record",
		Short: "Record what DAMON sees",
		Long: `Records what all kdamonds that run tell, whoever started them: snapshots, what schemes act upon,
tuned intervals and quotas, and how much memory the watched processes and the host use. It
only listens, by an own instance of tracefs that is gone at the end: nothing of what watches
is changed. Events that the kernel had to drop are counted.

The file is for its owner alone. It only grows, and is readable however it ends: what is older
than some five seconds is on the device. It ends with --duration, by SIGINT or SIGTERM, or when its terminal hangs up. With
--size, a full file becomes FILE.1, in place of the one before, and a new one begins.

Exit status: 0 it was recorded; 3 this kernel has no such events, or they are hidden (they are
root's); 129, 130 and 143 a signal ended it, and the recording is whole.`,
		Example: "  safevma damon record --duration 1m\n  safevma damon record -o night.svrec --size 1G",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Most = int64(most)
			if o.Duration < 0 {
				return usage(fmt.Errorf("--duration %s: want a time above 0", o.Duration))
			}
			return recordDAMON(cmd, o)
		},
	}
	cmd.Flags().StringVarP(&o.Name, "out", "o", recordingName, "`file` to make")
	cmd.Flags().DurationVar(&o.Duration, "duration", 0, "how long; 0 is until a signal")
	cmd.Flags().Var(&most, "size", "begin a new file at so many `bytes`, or with K, M, G or T (default: never)")
	return cmd
}

func recordDAMON(cmd *cobra.Command, o access.RecordOptions) error {
	progress := term.NewProgress(os.Stderr, "recording")
	o.Program = "safevma " + tool().Version
	o.Progress = func(p access.Progress) { progress.Say(recorded(p)) }
	ctx, done := hangup(cmd.Context())
	p, err := access.Record(ctx, o)
	progress.Done()
	hungUp := done()
	switch {
	case errors.Is(err, tracefs.ErrAbsent), errors.Is(err, tracefs.ErrDenied):
		return notMeasurable(err)
	case errors.Is(err, os.ErrExist):
		return usage(fmt.Errorf("%w: recordings are not overwritten", err))
	case err != nil:
		return internal(err)
	case hungUp != nil:
		return hungUp
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", o.Name, recorded(p))
	if p.Snapshots == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "no kdamond told anything: see safevma damon status")
	}
	return nil
}

func recorded(p access.Progress) string {
	text := fmt.Sprintf("%s, %d snapshots, %d regions acted upon, %d events lost, %s", p.Elapsed.Round(time.Second), p.Snapshots, p.Applied, p.Lost,
		term.Size(uint64(p.Bytes)))
	if p.Partial > 0 {
		text += fmt.Sprintf("; %d snapshots lack regions", p.Partial)
	}
	if p.Files > 1 {
		text += fmt.Sprintf("; file %d", p.Files)
	}
	return text
}
