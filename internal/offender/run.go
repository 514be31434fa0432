package offender

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
)

// run is one run of an offender: what it has done so far and how to undo it.
type run struct {
	name   string
	args   []string
	stage  string // after an exec: what the former image asked for; see [run.exec]
	dir    string // for files, made when first asked for
	report Report
	// serve, where set, runs from ready until ctx is done.
	serve func(ctx context.Context) error
	// lines, where set, gets the lines of standard input.
	lines chan string
	undo  []func()
	// mapped keeps what was mapped reachable; nothing is unmapped before the end.
	mapped [][]byte
}

// What an image hands on to the next one when it executes itself anew.
const (
	envStage = Env + "_STAGE"
	envDir   = Env + "_DIR"
)

func runNamed(name string, args []string) error {
	commit, kind := find(name)
	if commit == nil {
		return fmt.Errorf("%w: no such offender; \"offender list\" prints the names", errUsage)
	}
	r := &run{name: name, args: args, stage: os.Getenv(envStage), dir: os.Getenv(envDir)}
	// Neither is meant for the processes that this one starts.
	os.Unsetenv(envStage)
	os.Unsetenv(envDir)
	r.report = Report{Offender: name, PID: os.Getpid(), PIDs: []int{os.Getpid()}}
	if kind != nil {
		r.report.Requirement, r.report.RuleHint = kind.Requirement, kind.Rule
	}
	defer r.end()
	if err := commit(r); err != nil {
		return err
	}
	return r.wait()
}

// wait says that the violation stands and lets it stand until standard input ends or
// a signal asks for the end.
func (r *run) wait() error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	go func() {
		defer cancel()
		r.listen(ctx)
	}()
	if err := r.say(); err != nil {
		return err
	}
	if r.serve != nil {
		if err := r.serve(ctx); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

// listen reads standard input to its end.
func (r *run) listen(ctx context.Context) {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		if r.lines == nil {
			continue
		}
		select {
		case r.lines <- in.Text():
		case <-ctx.Done():
			return
		}
	}
}

// say prints the report, unless a former image of this process has.
func (r *run) say() error {
	if r.stage == stageSilent {
		return nil
	}
	line, err := json.Marshal(r.report)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(line, '\n'))
	return err
}

func (r *run) onEnd(f func()) { r.undo = append(r.undo, f) }

func (r *run) end() {
	for _, f := range slices.Backward(r.undo) {
		f()
	}
	if r.dir != "" {
		os.RemoveAll(r.dir)
	}
	runtime.KeepAlive(r.mapped)
}

// tempDir is a directory that is removed at the end.
func (r *run) tempDir() (string, error) {
	if r.dir == "" {
		dir, err := os.MkdirTemp("", "offender-")
		if err != nil {
			return "", err
		}
		r.dir = dir
	}
	return r.dir, nil
}

// show makes b the mapping in question.
func (r *run) show(b []byte) { r.report.Start, r.report.End = bounds(b) }

func (r *run) note(format string, args ...any) { r.report.Note = fmt.Sprintf(format, args...) }
