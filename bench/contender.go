package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/safevma/safevma/bench/launch"
	"github.com/safevma/safevma/bench/measure"
	"github.com/safevma/safevma/bench/pool"
	"github.com/safevma/safevma/bench/secrets"
	"github.com/safevma/safevma/bench/store"
	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/medium"
)

// work is what a contender in Go does, in an empty folder. What n means is for it to say.
type work func(folder string, n, ops int) (pool.Result, error)

// works are all contenders in Go by name.
func works() map[string]work {
	dax := medium.Options{AssumeDAX: true}
	all := map[string]work{
		"floor":        floor("commit", medium.Options{}),
		"floor-dax":    floor("tx", dax),
		"pool-tx":      pooled(pool.Transactions, pmem.Options{Medium: dax}),
		"pool-alloc":   pooled(pool.Allocations, pmem.Options{Medium: dax}),
		"pool-crc":     pooled(pool.CRC, pmem.Options{Medium: dax}),
		"pool-commit":  pooled(pool.Commits, pmem.Options{}),
		"pool-buckets": pooled(pool.Buckets, pmem.Options{}),
	}
	maps.Copy(all, secretWorks())
	for name, do := range launch.Works {
		all[name] = do
	}
	for name, open := range store.All {
		all[name] = func(folder string, n, ops int) (pool.Result, error) {
			m, note, err := store.Commits(open, folder, n, ops)
			return pool.Result{Measures: []measure.Measure{m}, Notes: []string{version(store.Module[name]) + "; " + note}}, err
		}
	}
	return all
}

// secretWorks says of memguard which version it is.
func secretWorks() map[string]work {
	all := map[string]work{}
	for name, do := range secrets.Works {
		all[name] = func(folder string, n, ops int) (pool.Result, error) {
			result, err := do(folder, n, ops)
			if strings.HasPrefix(name, "memguard") {
				result.Notes = append(result.Notes, version("github.com/awnumar/memguard"))
			}
			return result, err
		}
	}
	return all
}

func pooled(do func(folder string, n, ops int, o pmem.Options) (pool.Result, error), o pmem.Options) work {
	return func(folder string, n, ops int) (pool.Result, error) { return do(folder, n, ops, o) }
}

func floor(name string, o medium.Options) work {
	return func(folder string, n, ops int) (pool.Result, error) { return pool.Floor(folder, name, n, ops, o) }
}

var errUsage = errors.New("usage: bench contender NAME N OPS FOLDER")

// contend is this program as a contender.
func contend(args []string, out io.Writer) error {
	if len(args) != 4 {
		return errUsage
	}
	do, ok := works()[args[0]]
	n, errN := strconv.Atoi(args[1])
	ops, errOps := strconv.Atoi(args[2])
	if !ok || errN != nil || errOps != nil {
		return fmt.Errorf("%w, not %q", errUsage, args)
	}
	result, err := do(args[3], n, ops)
	if err != nil {
		return err
	}
	for _, note := range result.Notes {
		if err := measure.PrintNote(out, "%s", note); err != nil {
			return err
		}
	}
	for _, m := range result.Measures {
		if err := m.Print(out); err != nil {
			return err
		}
	}
	return nil
}

// version is that of a module which this program was built with.
func version(module string) string {
	info, _ := debug.ReadBuildInfo()
	if info != nil {
		for _, m := range info.Deps {
			if m.Path == module {
				return m.Version
			}
		}
	}
	return "unknown"
}
