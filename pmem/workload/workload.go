package workload

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/crash"
	"github.com/safevma/safevma/pmem/crash/state"
	"github.com/safevma/safevma/pmem/fsck"
)

// Workload is what is done with a pool, and how much of it is explored.
type Workload struct {
	Name  string
	About string // the bounds, in words
	Crash crash.Workload[*pmem.Pool]
	// Config has the models under which all states are enumerated.
	Config crash.Config
}

type ops = crash.Ops[*pmem.Pool]

// Names of roots of the pools.
const root = "desk"

// desk is the object that the root refers to: all others are reached from it.
type desk struct {
	Drawers [2]pmem.Ref[pmem.Bytes]
}

// bounds are those of the pools: as small as they get.
type bounds struct {
	log, extent int64
	span, spans int64 // length, and number of those of the heap, without the one that has the table
}

const heapStart = 32768 // with a log of up to 4096 bytes

func (b bounds) size() int64 { return heapStart + (1+b.spans)*b.span }

func (b bounds) options(e *crash.Env) pmem.Options {
	return pmem.Options{LogSize: b.log, LogExtent: b.extent, SpanSize: b.span, Rand: e.Rand.Uint64}
}

// pools explores what run does with a pool that has an empty desk. Setup may do something before,
// which is not explored.
func pools(b bounds, setup func(*pmem.Pool) error, run func(*ops) error) crash.Workload[*pmem.Pool] {
	return crash.Workload[*pmem.Pool]{
		Size: b.size(),
		Create: func(e *crash.Env) (*pmem.Pool, error) {
			p, err := pmem.CreateOn(e.Medium, b.options(e))
			if err == nil {
				err = furnish(p)
			}
			if err == nil && setup != nil {
				err = setup(p)
			}
			if err == nil {
				err = p.Checkpoint(context.Background())
			}
			return p, err
		},
		Recover: func(e *crash.Env) (*pmem.Pool, error) { return pmem.OpenOn(e.Medium, b.options(e)) },
		Dump:    dump,
		Check:   fsck.Pool,
		Run:     run,
	}
}

func update(p *pmem.Pool, fn func(tx *pmem.Tx) error) error {
	return p.Update(context.Background(), fn)
}

// furnish makes the desk.
func furnish(p *pmem.Pool) error {
	return update(p, func(tx *pmem.Tx) error {
		r, err := pmem.Alloc(tx, desk{})
		if err != nil {
			return err
		}
		return pmem.SetRoot(tx, root, r)
	})
}

// theDesk returns the desk.
func theDesk(tx *pmem.Tx) (pmem.Ref[desk], desk, error) {
	r, err := pmem.Root[desk](tx, root)
	if err != nil {
		return r, desk{}, err
	}
	d, err := pmem.Get(tx, r)
	return r, d, err
}

// put puts bytes into a drawer, and frees what was there.
func put(i int, b []byte) func(*pmem.Pool) error {
	return func(p *pmem.Pool) error {
		return update(p, func(tx *pmem.Tx) error {
			r, d, err := theDesk(tx)
			if err != nil {
				return err
			}
			if err := clear(tx, &d, i); err != nil {
				return err
			}
			if d.Drawers[i], err = pmem.AllocBytes(tx, b); err != nil {
				return err
			}
			return pmem.Set(tx, r, d)
		})
	}
}

func clear(tx *pmem.Tx, d *desk, i int) error {
	if d.Drawers[i].IsNil() {
		return nil
	}
	err := pmem.Free(tx, d.Drawers[i])
	d.Drawers[i] = pmem.Ref[pmem.Bytes]{}
	return err
}

// empty frees what is in a drawer.
func empty(i int) func(*pmem.Pool) error {
	return func(p *pmem.Pool) error {
		return update(p, func(tx *pmem.Tx) error {
			r, d, err := theDesk(tx)
			if err == nil {
				err = clear(tx, &d, i)
			}
			if err != nil {
				return err
			}
			return pmem.Set(tx, r, d)
		})
	}
}

// change changes bytes in a drawer.
func change(i int, off int64, b []byte) func(*pmem.Pool) error {
	return func(p *pmem.Pool) error {
		return update(p, func(tx *pmem.Tx) error {
			_, d, err := theDesk(tx)
			if err != nil {
				return err
			}
			return pmem.SetBytes(tx, d.Drawers[i], off, b)
		})
	}
}

// dump shows what is in the drawers.
func dump(p *pmem.Pool) (string, error) {
	var b strings.Builder
	err := p.View(context.Background(), func(tx *pmem.Tx) error {
		b.Reset()
		_, d, err := theDesk(tx)
		for i, r := range d.Drawers {
			if err != nil || r.IsNil() {
				continue
			}
			var content []byte
			content, err = pmem.AppendBytes(tx, r, nil)
			fmt.Fprintf(&b, "%d: %d bytes %#x; ", i, len(content), crc32.ChecksumIEEE(content))
		}
		return err
	})
	return b.String(), err
}

// do runs operations one after the other.
func do(o *ops, all ...step) error {
	for _, s := range all {
		if err := o.Do(s.name, s.fn); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

type step struct {
	name string
	fn   func(*pmem.Pool) error
}

// word is a value of 8 bytes, of which few differ from zero: what is stored over equal bytes
// makes no more states.
func word(v byte) []byte { return []byte{v, 0, 0, 0, 0, 0, 0, 0} }

// zeros is n bytes, of which the first is v.
func zeros(n int, v byte) []byte {
	b := make([]byte, n)
	b[0] = v
	return b
}

var errNotFull = errors.New("the pool is not full")

var cpu = []state.Model{crash.Kill, crash.ADR, crash.EADR}
var disk = []state.Model{crash.KillFile, crash.PageCache, crash.PageCache4K}
