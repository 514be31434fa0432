package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/watch/damo"
	"github.com/safevma/safevma/watch/recording"
)

func newDAMONImport() *cobra.Command {
	var out string
	var check bool
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Make a recording of what damo recorded",
		Long: `Reads a file of damo, and writes a recording for "safevma damon report". The formats are damo's json
and json_compressed, and perf_script, which is the text of perf script or trace-cmd report; the file says which.
- is standard input. perf.data is not read: make text of it, perf script -i FILE.

Text has no intervals: reports of it are in samples and aggregations. Sizes that passed filters
are left out. With --check nothing is written: it says what is in the file. Exit status: 2 the file is not of these formats.`,
		Example: "  safevma damon import damon.data -o damon.svrec\n  perf script -i perf.data | safevma damon import - -o damon.svrec",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			to := out
			if check {
				to = ""
			}
			var unread *os.PathError
			s, err := importDAMON(cmd.Context(), cmd.InOrStdin(), args[0], to)
			switch {
			case errors.Is(err, damo.ErrMalformed):
				return usage(fmt.Errorf("%s: %w", args[0], err))
			case errors.Is(err, os.ErrExist), errors.Is(err, os.ErrNotExist), errors.As(err, &unread) && unread.Path == args[0]:
				return usage(err)
			case err != nil:
				return internal(err)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s, %d snapshots with %d regions; %d snapshots lack regions, %d lines skipped\n", cmp.Or(to, args[0]), s.Format, s.Snapshots,
				s.Regions, s.Partial, s.Skipped)
			return nil
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "write nothing, and say what is in the file")
	cmd.Flags().StringVarP(&out, "out", "o", recordingName, "`file` to make")
	return cmd
}

// nobody takes entries that are not wanted.
type nobody struct{}

func (nobody) Write(recording.Entry) error { return nil }

// importDAMON makes the file, or leaves none that is not whole. Without a name it only reads.
func importDAMON(ctx context.Context, stdin io.Reader, name, out string) (s damo.Summary, err error) {
	in := stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return s, err
		}
		defer file.Close()
		in = file
	}
	in = &until{ctx, in}
	program := "safevma " + tool().Version
	if out == "" {
		return damo.Import(in, program, nobody{})
	}
	w, err := recording.Create(out)
	if err != nil {
		return s, err
	}
	s, err = damo.Import(in, program, w)
	err = errors.Join(err, w.Close(recording.End{Time: s.End, Reason: "imported", Snapshots: s.Snapshots, Partial: s.Partial}))
	if err != nil {
		err = errors.Join(err, os.Remove(out))
	}
	return s, err
}

// until reads as long as a context has not ended.
type until struct {
	ctx context.Context
	in  io.Reader
}

// Read implements io.Reader.
func (u *until) Read(b []byte) (int, error) {
	if err := context.Cause(u.ctx); err != nil {
		return 0, err
	}
	return u.in.Read(b)
}
