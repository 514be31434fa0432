package pmem

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/safevma/safevma/pmem/crash"
	"github.com/safevma/safevma/pmem/crash/state"
)

// node is an object of the explored workloads: small, so that there are few words to lose.
type node struct {
	Value uint64
	Next  Ref[node]
}

const exploredSize = 32768 + 4*4096

var exploredOptions = Options{LogSize: 1024, LogExtent: 256, SpanSize: 4096}

type poolOps = crash.Ops[*Pool]

func explored(run func(*poolOps) error) crash.Workload[*Pool] {
	with := func(e *crash.Env) Options {
		o := exploredOptions
		o.Rand = e.Rand.Uint64
		return o
	}
	return crash.Workload[*Pool]{
		Size: exploredSize,
		Create: func(e *crash.Env) (*Pool, error) {
			return CreateOn(e.Medium, with(e))
		},
		Recover: func(e *crash.Env) (*Pool, error) { return OpenOn(e.Medium, with(e)) },
		Dump:    dumpList,
		Run:     run,
	}
}

// dumpList shows the list that the root begins.
func dumpList(p *Pool) (string, error) {
	var b strings.Builder
	err := p.View(background, func(tx *Tx) error {
		b.Reset()
		r, err := Root[node](tx, "list")
		if errors.Is(err, ErrType) {
			return nil
		}
		for err == nil && !r.IsNil() {
			var n node
			n, err = Get(tx, r)
			fmt.Fprintf(&b, "%d ", n.Value)
			r = n.Next
		}
		return err
	})
	return b.String(), err
}

func push(v uint64) func(*Pool) error {
	return func(p *Pool) error {
		return p.Update(background, func(tx *Tx) error {
			head, err := Root[node](tx, "list")
			if err != nil && !errors.Is(err, ErrType) {
				return err
			}
			r, err := Alloc(tx, node{v, head})
			return errors.Join(err, SetRoot(tx, "list", r))
		})
	}
}

func pop(p *Pool) error {
	return p.Update(background, func(tx *Tx) error {
		head, err := Root[node](tx, "list")
		if err != nil {
			return err
		}
		n, err := Get(tx, head)
		if err != nil {
			return err
		}
		return errors.Join(Free(tx, head), SetRoot(tx, "list", n.Next))
	})
}

func TestExplore(t *testing.T) {
	r := crash.Run(t, crash.Config{Models: []state.Model{crash.Kill, crash.ADR}, Shallow: true}, explored(func(o *poolOps) error {
		return errors.Join(o.Do("push 1", push(1)), o.Do("push 2", push(2)), o.Do("pop", pop), o.Do("push 3", push(3)))
	}))
	t.Log(r)
}
