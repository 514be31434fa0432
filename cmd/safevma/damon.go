package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/term"
	"github.com/safevma/safevma/kernel/damon"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/watch/plan"
)

func newDAMON() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "damon",
		Short: "Show and set up how the kernel watches memory with DAMON, record what it sees, draw it",
		Long: `Shows what watches memory with DAMON here and whose it is, finds what is wrong or surprising in
its schemes, and says which filter decides about a page; records which memory is accessed, and
reports of that. All these only read. start, tune and stop write to the kernel's interface, which
has one owner: what somebody else has made they leave as it is, unless they are told to adopt it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDAMONExplain(), newDAMONImport(), newDAMONLint(), newDAMONRecord(), newDAMONReport(),
		newDAMONStart(), newDAMONStatus(), newDAMONStop(), newDAMONTune())
	return cmd
}

func newDAMONStatus() *cobra.Command {
	var format output
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what watches memory here, how, and whose it is",
		Long: `Shows each kdamond of the interface with what it watches, its schemes and their filters; the
modules that watch by themselves; the threads, and who made each; and processes that have
files of the interface open. The kernel does not say which program wrote the interface.

Statistics are what somebody last asked the kernel to update, or as old as refresh_ms says:
asking is a write, and is not done. Exit status 3: there is no DAMON, or it is hidden (it is
root's).`,
		Example: "  safevma damon status\n  safevma damon status --output json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			s, err := damonStatus()
			if err != nil {
				return err
			}
			if asJSON {
				err = s.WriteJSON(cmd.OutOrStdout())
			} else {
				w := term.NewWriter(cmd.OutOrStdout(), os.Environ())
				w.DAMON(s)
				err = w.Err()
			}
			if err != nil {
				return internal(err)
			}
			if len(s.Unseen) > 0 {
				return &exit{status: exitNotMeasurable}
			}
			return nil
		},
	}
	format.flag(cmd)
	return cmd
}

func damonStatus() (*damon.Status, error) {
	from := time.Now()
	s, err := damon.Default().Status(process.Default())
	switch {
	case errors.Is(err, damon.ErrAbsent), errors.Is(err, damon.ErrDenied), errors.Is(err, damon.ErrIncomplete):
		return nil, notMeasurable(err)
	case err != nil:
		return nil, internal(err)
	}
	s.Window = guarantee.Since(from)
	return s, nil
}

func newDAMONLint() *cobra.Command {
	var format output
	cmd := &cobra.Command{
		Use:   "lint [FILE|live]",
		Short: "Find what is wrong or surprising in DAMON's schemes",
		Long: `Finds what the kernel would refuse, what it takes and does not do (dead filters, filters and
actions that the operations ignore, goals without a reset interval), and what it does without
being told (what becomes of memory that no filter matches). It looks at what is set up here, or
at a file, as "safevma damon start --plan" takes it and "safevma damon status --output json"
writes it; - is standard input.

Exit status: 0 nothing, or notes alone; 1 errors or warnings; 2 the file is not like that; 3 it
can't be read here.`,
		Example: "  safevma damon lint\n  safevma damon lint plan.json --output json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			kdamonds, err := damonConfig(cmd.InOrStdin(), strings.Join(args, ""))
			if err != nil {
				return err
			}
			l := damon.NewLintReport(kdamonds)
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), l)
			} else {
				w := term.NewWriter(cmd.OutOrStdout(), os.Environ())
				w.DAMONLint(l)
				err = w.Err()
			}
			if err != nil {
				return internal(err)
			}
			if l.Errors+l.Warnings > 0 {
				return &exit{status: exitFindings}
			}
			return nil
		},
	}
	format.flag(cmd)
	return cmd
}

// damonConfig reads the kdamonds of a file, or those of this kernel.
func damonConfig(stdin io.Reader, name string) ([]damon.Kdamond, error) {
	if name == "" || name == "live" {
		in, err := damon.Default().Read()
		switch {
		case errors.Is(err, damon.ErrAbsent), errors.Is(err, damon.ErrDenied), errors.Is(err, damon.ErrIncomplete):
			return nil, notMeasurable(err)
		case err != nil:
			return nil, internal(err)
		}
		return in.Kdamonds, nil
	}
	configuration, err := plan.Load(name, stdin)
	if errors.Is(err, damon.ErrMalformed) {
		return nil, usage(err)
	}
	if err != nil {
		return nil, notMeasurable(err)
	}
	list, err := damon.Merge(nil, configuration)
	if err != nil {
		return nil, usage(fmt.Errorf("%s: %w", name, err))
	}
	return list, nil
}

func newDAMONExplain() *cobra.Command {
	var format output
	var from string
	cmd := &cobra.Command{
		Use:   "explain [WORD…]",
		Short: "Say what each scheme does with a page, and which filter decides",
		Long: `Evaluates the filters of each scheme for a page as the kernel does, and says which one decides.
The page is described by words: ` + damon.PageWords + `.
What is not said is left open, unless it makes no difference. Quotas, watermarks and whether the
action then succeeds are not looked at.

Exit status: 0 there is an answer (also where it depends on what is not said), 2 a word is
wrong, 3 the schemes can't be read here.`,
		Example: "  safevma damon explain file mapped\n  safevma damon explain anon old memcg=/system.slice --from plan.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			page, err := damon.ParsePage(args)
			if err != nil {
				return usage(err)
			}
			kdamonds, err := damonConfig(cmd.InOrStdin(), from)
			if err != nil {
				return err
			}
			e := damon.NewExplainReport(kdamonds, page)
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), e)
			} else {
				w := term.NewWriter(cmd.OutOrStdout(), os.Environ())
				w.DAMONExplain(e)
				err = w.Err()
			}
			if err != nil {
				return internal(err)
			}
			return nil
		},
		ValidArgsFunction: cobra.FixedCompletions([]cobra.Completion{"anon", "file", "active", "inactive", "young", "old", "unmapped", "mapped",
			"memcg=", "size=", "address=", "target=", "region=", "accesses=", "age="},
			cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace),
	}
	format.flag(cmd)
	cmd.Flags().StringVar(&from, "from", "live", "explain schemes of this `file`, as lint takes it, or live")
	return cmd
}
