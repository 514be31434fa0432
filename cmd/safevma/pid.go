package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

func parsePID(arg string) (int, error) {
	if arg == "self" {
		p, err := process.Default().Self()
		if err != nil {
			return 0, notMeasurable(err)
		}
		defer p.Close()
		return p.PID, nil
	}
	pid, err := strconv.ParseInt(arg, 10, 32)
	if err != nil || pid <= 0 {
		return 0, usage(fmt.Errorf("%q is not a process id: want a number above 0, or self", arg))
	}
	return int(pid), nil
}

// reading calls read while the process is pinned, and says in words why a process has no
// memory to read. None of that is this program's fault.
func reading(pid int, read func() error) error {
	p, err := process.Default().Open(pid)
	if errors.Is(err, process.ErrGone) {
		return notMeasurable(fmt.Errorf("there is no process %d", pid))
	}
	if err == nil {
		defer p.Close()
		err = read()
	}
	if err == nil {
		return nil
	}
	none := errors.Is(err, process.ErrGone) || errors.Is(err, vma.ErrNoAddressSpace)
	if why := noMemory(p); why != nil && (none || errors.Is(err, process.ErrDenied)) {
		return notMeasurable(why)
	}
	if none || errors.Is(err, process.ErrDenied) {
		return notMeasurable(err)
	}
	return internal(err)
}

// noMemory says why a process has no memory, and nothing of one that should have some.
func noMemory(p *process.Process) error {
	if p == nil {
		return nil
	}
	info, err := p.Info()
	if err != nil {
		return nil
	}
	name := fmt.Sprintf("process %d (%s)", info.PID, guarantee.Text(info.Comm))
	switch _, runs := p.OtherThread(); {
	case info.KernelThread:
		return fmt.Errorf("%s is a kernel thread: it has no memory of its own", name)
	case info.Zombie() && !runs:
		return fmt.Errorf("%s has ended and waits to be reaped (a zombie): it has no memory any more", name)
	}
	return nil
}

// completePID offers the processes that have memory, with their names.
func completePID(_ *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	proc := process.Default()
	pids, err := proc.PIDs()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	offered := []cobra.Completion{cobra.CompletionWithDesc("self", "this program")}
	for _, pid := range pids {
		p, err := proc.Open(pid)
		if err != nil {
			continue
		}
		if info, err := p.Info(); err == nil && !info.KernelThread && !info.Zombie() {
			offered = append(offered, cobra.CompletionWithDesc(strconv.Itoa(pid), guarantee.Text(info.Comm)))
		}
		p.Close()
	}
	return offered, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// completeOnePID is completePID for a verb that takes one.
func completeOnePID(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return completePID(cmd, args, toComplete)
}
