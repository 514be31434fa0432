package workload

import (
	"context"
	"errors"

	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/crash"
	"github.com/safevma/safevma/pmem/fsck"
)

// created makes a pool: a failure leaves none, or a whole one.
func created() Workload {
	w := crash.Workload[*pmem.Pool]{
		Size:    small.size(),
		Create:  func(e *crash.Env) (*pmem.Pool, error) { return pmem.CreateOn(e.Medium, small.options(e)) },
		Recover: func(e *crash.Env) (*pmem.Pool, error) { return pmem.OpenOn(e.Medium, small.options(e)) },
		Absent:  func(err error) bool { return errors.Is(err, pmem.ErrNoPool) },
		Dump:    names,
		Check:   fsck.Pool,
		Run: func(o *ops) error {
			return o.Do("an object", func(p *pmem.Pool) error {
				return update(p, func(tx *pmem.Tx) error {
					r, err := pmem.AllocBytes(tx, word(1))
					return errors.Join(err, pmem.SetRoot(tx, root, r))
				})
			})
		},
	}
	return Workload{
		Name: "create", About: "a pool made, and the first object in it",
		Crash: w, Config: crash.Config{Models: append(cpu[:1:1], disk...), Recoveries: 1 << 20},
	}
}

// names shows whether there is a root.
func names(p *pmem.Pool) (result string, err error) {
	err = p.View(context.Background(), func(tx *pmem.Tx) error {
		r, err := pmem.Root[pmem.Bytes](tx, root)
		result = r.String()
		return err
	})
	return result, err
}
