// Command bench compares safevma with its peers and writes the tables of
// docs/benchmarks.md:
//
//	cd bench && go run . -docs ../docs/benchmarks.md
//
// It is a module of its own: what it compares with is no dependency of safevma. Contenders
// are processes that run in turn, in Go (this program itself) or C (folder c, built with
// make and gcc each time). What can't be run is said, with the reason. See package compare
// for what is measured; a new table is a function in tables.go, and its markers on the page.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"github.com/safevma/safevma/bench/compare"
)

func main() {
	err := run(os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	docs, tables, disk, tmpfs string
	rounds                    int
	ops                       float64
}

func run(args []string, out, progress io.Writer) error {
	if len(args) > 0 && args[0] == "contender" {
		return contend(args[1:], out)
	}
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.StringVar(&o.docs, "docs", "", "write the tables into this `page`, between their markers")
	flags.StringVar(&o.tables, "tables", "", "only the tables with these `ids`, separated by commas")
	flags.StringVar(&o.disk, "disk", "", "a `folder` on an ordinary file system (default: $TMPDIR, or else the working directory, where that is one)")
	flags.StringVar(&o.tmpfs, "tmpfs", "/dev/shm", "a `folder` on tmpfs")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds")
	flags.Float64Var(&o.ops, "ops", 1, "share of the operations: less is a trial, not a measurement")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || o.rounds < 1 || o.ops <= 0 {
		return fmt.Errorf("what is %q? See -help", args)
	}
	return o.run(out, progress)
}

func (o options) run(out, progress io.Writer) error {
	chosen, err := choose(tables(), o.tables)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	folder, err := os.MkdirTemp("", "safevma-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	r, err := o.runner(ctx, folder, progress)
	if err != nil {
		return err
	}
	before := load()
	results, err := r.Run(ctx, chosen)
	if err != nil {
		return err
	}
	return o.write(out, results, r.Places, before)
}

func choose(all []compare.Table, ids string) (chosen []compare.Table, err error) {
	if ids == "" {
		return all, nil
	}
	for id := range strings.SplitSeq(ids, ",") {
		i := slices.IndexFunc(all, func(t compare.Table) bool { return t.ID == id })
		if i < 0 {
			return nil, fmt.Errorf("no table %q", id)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func (o options) runner(ctx context.Context, folder string, progress io.Writer) (*compare.Runner, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	lacking, err := build(ctx, folder)
	if err != nil {
		return nil, err
	}
	places := map[compare.Place]string{compare.Memory: o.tmpfs, compare.Disk: o.disk}
	if o.disk == "" {
		places[compare.Disk] = aDisk()
	}
	for p, where := range places {
		if err := p.Fits(where); err != nil {
			lacking[string(p)] = err.Error()
		}
	}
	return &compare.Runner{
		Places: places, Lacking: lacking, Programs: folder, Self: []string{self, "contender"},
		Rounds: o.rounds, Ops: o.ops, Progress: progress,
	}, nil
}

// aDisk is a folder that may be on a disk.
func aDisk() string {
	if folder := os.Getenv("TMPDIR"); folder != "" && compare.Disk.Fits(folder) == nil {
		return folder
	}
	return "."
}

// write shows the tables, and puts them on the page if there is one.
func (o options) write(out io.Writer, results []compare.Result, places map[compare.Place]string, before string) error {
	var page string
	if o.docs != "" {
		text, err := os.ReadFile(o.docs)
		if err != nil {
			return err
		}
		page = string(text)
	}
	for _, result := range results {
		text := result.Markdown(o.conditions(result.Place, places[result.Place], before))
		fmt.Fprintln(out, text)
		if o.docs == "" {
			continue
		}
		var err error
		if page, err = compare.Splice(page, result.ID, text); err != nil {
			return err
		}
	}
	if o.docs == "" {
		return nil
	}
	return replace(o.docs, page)
}

// replace writes a file anew, or leaves it as it is.
func replace(name, text string) error {
	temporary := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".new")
	if err := os.WriteFile(temporary, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, name)
}
