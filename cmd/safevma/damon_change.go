package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/internal/term"
	"github.com/safevma/safevma/kernel/damon"
	"github.com/safevma/safevma/watch/plan"
)

// damonChange is what commands have in common that change what DAMON does.
type damonChange struct {
	format  output
	file    string
	words   plan.Words
	options damon.Options
}

// flags are those of all of them.
func (d *damonChange) flags(cmd *cobra.Command) {
	d.format.flag(cmd)
	cmd.Flags().BoolVar(&d.options.Adopt, "adopt", false, "take over what somebody else has made")
	cmd.Flags().BoolVarP(&d.options.DryRun, "dry-run", "n", false, "say what would be written, and write nothing")
}

// planFlags are those that say what is to be.
func (d *damonChange) planFlags(cmd *cobra.Command) {
	d.flags(cmd)
	d.words.Values = map[string]string{}
	cmd.Flags().StringVar(&d.file, "plan", "", "a `file` in YAML or JSON, or what damo writes; - is standard input")
	cmd.Flags().StringArrayVar(&d.words.Regions, "region", nil, "watch the addresses `start-end` (repeat)")
	cmd.Flags().StringArrayVar(&d.words.Filters, "filter", nil, "`filter` of the scheme: allow|reject [none] TYPE [VALUE] (repeat)")
	for _, s := range plan.Settings {
		cmd.Flags().Func(s.Name, s.Help+" (`"+s.Unit+"`)", func(text string) error {
			d.words.Values[s.Name] = text
			return nil
		})
	}
}

// plan lays the file and the words over what is there.
func (d *damonChange) plan(cmd *cobra.Command, base []damon.Kdamond) ([]damon.Kdamond, error) {
	var file any
	if d.file != "" {
		var err error
		file, err = plan.Load(d.file, cmd.InOrStdin())
		if err != nil && !errors.Is(err, damon.ErrMalformed) {
			return nil, notMeasurable(err) // as lint says of a file that can't be read
		} else if err != nil {
			return nil, err
		}
	}
	return d.words.Apply(base, file, plan.RAM)
}

// do changes something, and shows what.
func (d *damonChange) do(cmd *cobra.Command, change func(context.Context, *damon.Control) (*damon.Change, error)) error {
	asJSON, err := d.format.json()
	if err != nil {
		return err
	}
	control, err := damon.NewControl(d.options)
	if err != nil {
		return internal(err)
	}
	done, err := change(cmd.Context(), control)
	if err != nil {
		return damonFailed(err)
	}
	if asJSON {
		return writeJSON(cmd.OutOrStdout(), done)
	}
	w := term.NewWriter(cmd.OutOrStdout(), os.Environ())
	w.DAMONChange(done)
	if err := w.Err(); err != nil {
		return internal(err)
	}
	return nil
}

// damonFailed gives an error its exit status.
func damonFailed(err error) error {
	var (
		told        *exit
		invalid     *damon.Invalid
		words       *plan.Error
		unsupported *damon.Unsupported
		refused     *damon.Refused
		kept        *damon.Kept
		failed      *damon.Failed
	)
	switch {
	case errors.As(err, &told):
		return err
	case errors.As(err, &failed) && (len(failed.Left) > 0 || failed.Undo != nil):
		return &exit{exitFindings, err}
	case errors.Is(err, damon.ErrForeign):
		return notMeasurable(fmt.Errorf("%w (--adopt)", err))
	case errors.Is(err, damon.ErrAbsent), errors.Is(err, damon.ErrDenied), errors.Is(err, damon.ErrIncomplete), errors.Is(err, plan.ErrNoRAM),
		errors.Is(err, damon.ErrRunning), errors.Is(err, damon.ErrNone), errors.As(err, &unsupported), errors.Is(err, os.ErrNotExist):
		return notMeasurable(err)
	case errors.As(err, &invalid), errors.As(err, &words), errors.Is(err, damon.ErrMalformed):
		return usage(err)
	case errors.As(err, &refused), errors.As(err, &kept):
		return &exit{exitFindings, err}
	}
	return internal(err)
}
