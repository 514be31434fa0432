package compare

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/safevma/safevma/bench/measure"
)

// Runner runs tables.
type Runner struct {
	Places   map[Place]string  // a folder on each; "" where there is none
	Lacking  map[string]string // why a place or a program can't be had
	Programs string            // the folder of the programs that are built for them
	Self     []string          // the command of a contender in Go
	Rounds   int
	Ops      float64   // share of the operations that each contender is asked for
	Progress io.Writer // a line for each run
}

// ProgramsVariable says to contenders where programs are that are built for them ([Runner.Programs]).
const ProgramsVariable = "SAFEVMA_BENCH_PROGRAMS"

// fewestOps are done however small the share is.
const fewestOps = 100

// longest is how long one contender may take: far more than any does.
const longest = 5 * time.Minute

// Result is what was found out for a table.
type Result struct {
	Table
	Outcomes [][]Outcome // by match and contender
}

// Outcome is what a contender did in each round.
type Outcome struct {
	Rounds  []map[string]measure.Measure // by measure
	Notes   []string
	Lacking string // why there is nothing
}

// Run runs all tables, round by round. A contender that fails is not asked again, and the
// table says why. The error is that of ctx.
func (r *Runner) Run(ctx context.Context, tables []Table) ([]Result, error) {
	results := make([]Result, len(tables))
	for i, t := range tables {
		results[i].Table = t
		for _, m := range t.Match {
			results[i].Outcomes = append(results[i].Outcomes, make([]Outcome, len(m.Contenders)))
		}
	}
	for round := range r.Rounds {
		for i := range results {
			for k := range results[i].Match {
				r.match(ctx, &results[i], k, round)
			}
		}
	}
	return results, ctx.Err()
}

// match runs each contender once. It begins with another one each time, so that none is
// always the one that comes after the dearest.
func (r *Runner) match(ctx context.Context, result *Result, k, round int) {
	m, outcomes := result.Match[k], result.Outcomes[k]
	for i := range m.Contenders {
		i = (i + round) % len(m.Contenders)
		c, o := m.Contenders[i], &outcomes[i]
		if o.Lacking != "" || ctx.Err() != nil {
			continue
		}
		measures, notes, err := r.contender(ctx, c, result.Place)
		if err == nil {
			err = missing(m.Works, measures)
		}
		if err != nil {
			o.Lacking, o.Rounds = err.Error(), nil
			fmt.Fprintf(r.Progress, "round %d/%d  %-14s %-28s not run: %v\n", round+1, r.Rounds, result.ID, c.Name, err)
			continue
		}
		o.Rounds, o.Notes = append(o.Rounds, measures), notes
		fmt.Fprintf(r.Progress, "round %d/%d  %-14s %-28s %s\n", round+1, r.Rounds, result.ID, c.Name, shown(m.Works, measures, result.Table))
	}
}

func missing(works []Work, measures map[string]measure.Measure) error {
	for _, w := range works {
		if _, ok := measures[w.Measure]; !ok {
			return fmt.Errorf("it did not measure %s", w.Measure)
		}
	}
	return nil
}

func shown(works []Work, measures map[string]measure.Measure, t Table) string {
	var all []string
	for _, w := range works {
		m := measures[w.Measure]
		all = append(all, fmt.Sprintf("%s: %s", w.Title, number(perOp(m, t.Clock), t.Unit)))
	}
	return strings.Join(all, ", ")
}

// contender runs one, in a folder of its own.
func (r *Runner) contender(ctx context.Context, c Contender, p Place) (map[string]measure.Measure, []string, error) {
	for _, what := range []string{string(p), c.Program} {
		if why := r.Lacking[what]; why != "" {
			return nil, nil, errors.New(why)
		}
	}
	folder, err := os.MkdirTemp(r.Places[p], "safevma-bench-")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(folder)
	command := r.Self
	if c.Program != "" {
		command = []string{filepath.Join(r.Programs, c.Program)}
	}
	ops := max(int(float64(c.Ops)*r.Ops), fewestOps)
	command = append(command[:len(command):len(command)], c.Work, strconv.Itoa(c.N), strconv.Itoa(ops), folder)
	out, err := r.output(ctx, command)
	if err != nil {
		return nil, nil, err
	}
	list, notes, err := measure.Parse(bytes.NewReader(out))
	measures := map[string]measure.Measure{}
	for _, m := range list {
		measures[m.Name] = m
	}
	return measures, notes, err
}

// output runs a command and returns what it printed; its error has what it complained
// about last.
func (r *Runner) output(ctx context.Context, command []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	var complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "PMEM_IS_PMEM_FORCE=1", ProgramsVariable+"="+r.Programs)
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(complaints.String()), "\n")
		return nil, fmt.Errorf("%w: %s", err, lines[len(lines)-1])
	}
	return out, nil
}
