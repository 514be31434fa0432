package launch

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/safevma/safevma/bench/measure"
	"github.com/safevma/safevma/bench/pool"
	"github.com/safevma/safevma/internal/sys"
)

const page = 4096

// loop is a call that is made again and again, once for so many of the operations that are asked for.
type loop struct {
	name  string
	share int
	do    func() error
}

func measured(ops int, loops ...loop) (result pool.Result, err error) {
	for _, l := range loops {
		m, err := timed(l.name, max(ops/l.share, 1), l.do)
		if err != nil {
			return result, err
		}
		result.Measures = append(result.Measures, m)
	}
	return result, nil
}

// calls are those that the kernel answers.
func calls(_ string, _, ops int) (pool.Result, error) {
	memory, err := sys.Mmap(page, sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapAnonymous, -1, 0)
	if err != nil {
		return pool.Result{}, err
	}
	result, err := measured(ops,
		loop{"getppid", 1, func() error { syscall.Getppid(); return nil }},
		loop{"map", 10, func() error { return mapped(sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapAnonymous, -1) }},
		loop{"protect", 10, func() error {
			return errors.Join(sys.Mprotect(memory, sys.ProtRead), sys.Mprotect(memory, sys.ProtRead|sys.ProtWrite))
		}})
	return result, errors.Join(err, sys.Munmap(memory))
}

// waits are those at which another process may look.
func waits(dir string, _, ops int) (pool.Result, error) {
	program := filepath.Join(dir, "small")
	file, err := os.Open(program)
	if err != nil {
		return pool.Result{}, err
	}
	defer file.Close()
	return measured(ops,
		loop{"code", 1, func() error { return mapped(sys.ProtRead|sys.ProtExec, sys.MapPrivate, int(file.Fd())) }},
		loop{"execute", 10, func() error { return exec.Command(program).Run() }})
}

// timed does something so many times, after some that do not count.
func timed(name string, ops int, do func() error) (measure.Measure, error) {
	for range ops / 10 {
		if err := do(); err != nil {
			return measure.Measure{}, err
		}
	}
	var clock measure.Clock
	clock.Start()
	for range ops {
		if err := do(); err != nil {
			return measure.Measure{}, err
		}
	}
	clock.Stop()
	return clock.Measure(name, ops), nil
}

// mapped maps a page, and unmaps it.
func mapped(prot, flags, fd int) error {
	b, err := sys.Mmap(page, prot, flags, fd, 0)
	if err != nil {
		return err
	}
	return sys.Munmap(b)
}
