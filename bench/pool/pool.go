package pool

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/safevma/safevma/bench/measure"
	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/medium"
)

// atOnce is how many objects are made in one transaction where nothing is measured.
const atOnce = 64

// name is the pool's file in a folder.
func name(folder string) string { return filepath.Join(folder, "pool") }

// within makes a pool, does something with it and closes it.
func within(folder string, size int64, o pmem.Options, do func(p *pmem.Pool) error) error {
	p, err := pmem.Create(name(folder), size, o)
	if err != nil {
		return err
	}
	return errors.Join(do(p), p.Close())
}

// again opens the pool of a folder and does something with it.
func again(folder string, o pmem.Options, do func(p *pmem.Pool) error) error {
	p, err := pmem.Open(name(folder), o)
	if err != nil {
		return err
	}
	return errors.Join(do(p), p.Close())
}

// fill makes n objects, many in a transaction.
func fill[T any](p *pmem.Pool, n int) ([]pmem.Ref[T], error) {
	refs := make([]pmem.Ref[T], 0, n)
	for len(refs) < n {
		var some []pmem.Ref[T]
		err := p.Update(context.Background(), func(tx *pmem.Tx) error {
			some = some[:0]
			for range min(atOnce, n-len(refs)) {
				var zero T
				r, err := pmem.Alloc(tx, zero)
				if err != nil {
					return err
				}
				some = append(some, r)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		refs = append(refs, some...)
	}
	return refs, nil
}

// wraps says how often ops operations filled the log, from the bytes that one more leaves in
// a log that was emptied before.
func wraps(p *pmem.Pool, ops int, one func() error) (string, error) {
	if err := p.Checkpoint(context.Background()); err != nil {
		return "", err
	}
	before := p.Info().LogUsed
	if err := one(); err != nil {
		return "", err
	}
	info := p.Info()
	used := info.LogUsed - before
	return fmt.Sprintf("%s; the log of %d KiB was filled %d times, with %d bytes an operation", instructions(info.Medium), info.LogSize>>10,
		int64(ops)*used/info.LogSize, used), nil
}

// instructions names what makes stores durable.
func instructions(m medium.Info) string {
	return fmt.Sprintf("medium %v, with %s and %s", m.Kind, m.Stream, m.Flush)
}

// Result is what a contender measured, and what is to know of it.
type Result struct {
	Measures []measure.Measure
	Notes    []string
}
