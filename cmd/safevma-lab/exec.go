package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/lab"
	"github.com/safevma/safevma/lab/vm"
)

// execFlags are the flags of exec that are not about the machine.
type execFlags struct {
	machineFlags
	user    uint32
	bring   []string
	send    []string
	timeout time.Duration
	console bool
}

func newExec() *cobra.Command {
	var f execFlags
	cmd := &cobra.Command{
		Use:   "exec [flags] PROGRAM [ARG…]",
		Short: "Run a static program, such as a Go test binary, in a lab machine",
		Long: `For "go test -exec": runs the test binary in a lab machine, passes its output and exit
status on, and brings back profiles and coverage. The files of the module are there, at the
same place; the environment is passed on, but for what belongs to the host (PATH, HOME, …).

Disks and NVDIMMs without a file are fresh each time: /lab/disk0, /lab/nvdimm0, and so on.`,
		Example: `  go test -exec 'safevma-lab exec --kernel 6.12' ./kernel/...
  go test -exec 'safevma-lab exec --nvdimm ext4 --disk xfs' -run Durable -coverprofile c.out ./pmem
  CGO_ENABLED=1 go test -race -ldflags '-linkmode external -extldflags "-static"' -exec 'safevma-lab exec' ./pmem`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(args) },
	}
	cmd.Flags().SetInterspersed(false)
	f.add(cmd)
	cmd.Flags().Uint32Var(&f.user, "user", 0, "run the program as this user `id`, with no rights of root")
	cmd.Flags().StringArrayVar(&f.bring, "bring", nil, "a `path` to bring back when the program has ended")
	cmd.Flags().StringArrayVar(&f.send, "send", nil, "a `path` to send, with all below it, in place of the module's files")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 0, "end the machine after this time (default: shortly before go test would, or 10m)")
	cmd.Flags().BoolVar(&f.console, "console", false, "show the messages of the guest's kernel at the end")
	return cmd
}

var errTime = errors.New("the time is over")

func (f *execFlags) run(args []string) error {
	machines, err := newLab()
	if err != nil {
		return &exit{exitLab, err}
	}
	job, err := f.job(args)
	if err != nil {
		return &exit{exitLab, err}
	}
	limit := f.timeout
	if limit == 0 {
		limit = timeLimit(args[1:])
	}
	ctx, stop := context.WithTimeoutCause(context.Background(), limit, errTime)
	defer stop()
	ctx, interrupt := context.WithCancelCause(ctx)
	defer interrupt(nil)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
	// A closed output ends the program inside, not this one: see vm.Job.Stdout.
	signal.Ignore(syscall.SIGPIPE)

	machine, err := startMachine(ctx, machines, f.config(), signals, interrupt)
	if err != nil {
		return failed(err)
	}
	defer machine.Cut()
	go passSignals(machine, signals, interrupt)
	job.Mark = func(line string) {
		if line == lab.PowerCutMark {
			machine.Cut()
		}
	}
	answer, err := machine.Run(ctx, job)
	if f.console {
		fmt.Fprintln(os.Stderr, machine.Console())
	}
	if err != nil {
		return failed(err)
	}
	if f.keepsStorage() {
		if err := machine.PowerOff(); err != nil {
			return failed(err)
		}
	}
	if answer.Signal != 0 {
		return &exit{128 + answer.Signal, nil}
	}
	if answer.Code != 0 {
		return &exit{answer.Code, nil}
	}
	return nil
}

// keepsStorage says whether something is written to a file of the caller's, so that the
// guest must write it back.
func (f *execFlags) keepsStorage() bool {
	c := f.config()
	for _, s := range append(c.NVDIMMs, c.Disks...) {
		if s.Path != "" {
			return true
		}
	}
	return false
}

func failed(err error) error {
	var by interruption
	switch {
	case errors.As(err, &by):
		return &exit{128 + int(by), err}
	case errors.Is(err, errTime):
		return &exit{exitTime, err}
	}
	return &exit{exitLab, err}
}

// interruption is a signal that ended the lab before there was a program to pass it to.
type interruption syscall.Signal

// Error implements error.
func (i interruption) Error() string { return "interrupted: " + syscall.Signal(i).String() }

func startMachine(ctx context.Context, lab *vm.Lab, c vm.Config, signals chan os.Signal, interrupt context.CancelCauseFunc) (*vm.Machine, error) {
	started := make(chan struct{})
	defer close(started)
	go func() {
		select {
		case s := <-signals:
			interrupt(interruption(s.(syscall.Signal)))
		case <-started:
		}
	}()
	return lab.Start(ctx, c)
}

// passSignals passes signals on to the program. The second one ends the machine.
func passSignals(machine *vm.Machine, signals chan os.Signal, interrupt context.CancelCauseFunc) {
	first := (<-signals).(syscall.Signal)
	if err := machine.Signal(first); err != nil {
		interrupt(interruption(first))
		return
	}
	interrupt(interruption((<-signals).(syscall.Signal)))
}

// storage parses KIND or KIND:FILE.
func storage(text string) vm.Storage {
	kind, path, _ := strings.Cut(text, ":")
	if path != "" {
		if absolute, err := filepath.Abs(path); err == nil {
			path = absolute
		}
	}
	return vm.Storage{Kind: kind, Path: path}
}
