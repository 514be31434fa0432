package fsck

import (
	"errors"
	"testing"

	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/crash"
	"github.com/safevma/safevma/pmem/crash/state"
)

// Whatever a failure leaves, a recovered pool is clean: no leak, nothing dangling.
func TestCleanAfterEveryFailure(t *testing.T) {
	options := func(e *crash.Env) pmem.Options {
		return pmem.Options{LogSize: 1024, LogExtent: 256, SpanSize: 4096, Rand: e.Rand.Uint64}
	}
	push := func(p *pmem.Pool) error {
		return p.Update(ctx, func(tx *pmem.Tx) error {
			head, err1 := pmem.Root[node](tx, "list")
			if errors.Is(err1, pmem.ErrType) {
				err1 = nil
			}
			text, err2 := pmem.AllocBytes(tx, []byte("text"))
			r, err3 := pmem.Alloc(tx, node{Next: head, Text: text})
			return errors.Join(err1, err2, err3, pmem.SetRoot(tx, "list", r))
		})
	}
	pop := func(p *pmem.Pool) error {
		return p.Update(ctx, func(tx *pmem.Tx) error {
			head, err := pmem.Root[node](tx, "list")
			if err != nil {
				return err
			}
			n, err := pmem.Get(tx, head)
			return errors.Join(err, pmem.Free(tx, n.Text), pmem.Free(tx, head), pmem.SetRoot(tx, "list", n.Next))
		})
	}
	r := crash.Run(t, crash.Config{Models: []state.Model{crash.Kill, crash.ADR}, Shallow: true, Recoveries: 5000, Quick: testing.Short()}, crash.Workload[*pmem.Pool]{
		Size:    32768 + 4*4096,
		Create:  func(e *crash.Env) (*pmem.Pool, error) { return pmem.CreateOn(e.Medium, options(e)) },
		Recover: func(e *crash.Env) (*pmem.Pool, error) { return pmem.OpenOn(e.Medium, options(e)) },
		Check:   Pool,
		Run: func(o *crash.Ops[*pmem.Pool]) error {
			return errors.Join(o.Do("push", push), o.Do("push", push), o.Do("pop", pop), o.Do("push", push))
		},
	})
	t.Log(r)
}
