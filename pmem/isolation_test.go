package pmem_test

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/safevma/safevma/internal/history"
	"github.com/safevma/safevma/internal/history/workload"
	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/medium"
)

// keys are the registers of a workload.
const keys = 6

type register struct{ Value uint64 }

// adapter makes a pool a store of registers.
type adapter struct {
	p *pmem.Pool
	registers
}

// registers are a way to keep values in a pool.
type registers interface {
	make(tx *pmem.Tx) error
	get(tx *pmem.Tx, key int) (uint64, error)
	set(tx *pmem.Tx, key int, v uint64) error
}

func newAdapter(t *testing.T, p *pmem.Pool, r registers) adapter {
	t.Helper()
	if err := p.Update(t.Context(), r.make); err != nil {
		t.Fatal(err)
	}
	return adapter{p, r}
}

func (a adapter) Update(fn func(workload.Tx) error) error {
	return a.p.Update(context.Background(), func(tx *pmem.Tx) error { return fn(within{a, tx}) })
}

func (a adapter) View(fn func(workload.Tx) error) error {
	return a.p.View(context.Background(), func(tx *pmem.Tx) error { return fn(within{a, tx}) })
}

type within struct {
	adapter
	tx *pmem.Tx
}

func (w within) Get(key int) (uint64, error) { return w.get(w.tx, key) }

func (w within) Set(key int, v uint64) error { return w.set(w.tx, key, v) }

// objects are registers that are changed.
type objects [keys]pmem.Ref[register]

func (o *objects) make(tx *pmem.Tx) (err error) {
	for i := range o {
		if o[i], err = pmem.Alloc(tx, register{}); err != nil {
			return err
		}
	}
	return nil
}

func (o *objects) get(tx *pmem.Tx, key int) (uint64, error) {
	r, err := pmem.Get(tx, o[key])
	return r.Value, err
}

func (o *objects) set(tx *pmem.Tx, key int, v uint64) error {
	return pmem.Set(tx, o[key], register{v})
}

// slot refers to the object of a register that is allocated anew for each write.
type slot struct{ Ref pmem.Ref[pmem.Bytes] }

// fresh are registers whose objects are freed and allocated, in all sizes; every second one is
// borrowed to be read.
type fresh [keys]pmem.Ref[slot]

func (f *fresh) make(tx *pmem.Tx) (err error) {
	for i := range f {
		if f[i], err = pmem.Alloc(tx, slot{}); err != nil {
			return err
		}
	}
	return nil
}

func (f *fresh) get(tx *pmem.Tx, key int) (uint64, error) {
	s, err := pmem.Get(tx, f[key])
	if err != nil || s.Ref.IsNil() {
		return 0, err
	}
	var b []byte
	if key%2 == 0 {
		b, err = pmem.AppendBytes(tx, s.Ref, nil)
	} else if b, err = pmem.BorrowBytes(tx, s.Ref); errors.Is(err, pmem.ErrImmutable) {
		b, err = pmem.AppendBytes(tx, s.Ref, nil) // made in this transaction
	}
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b[len(b)-8:]), nil
}

func (f *fresh) set(tx *pmem.Tx, key int, v uint64) error {
	s, err := pmem.Get(tx, f[key])
	if err != nil {
		return err
	}
	if !s.Ref.IsNil() {
		if err := pmem.Free(tx, s.Ref); err != nil {
			return err
		}
	}
	sizes := [...]int{8, 40, 300, 1000, 3000, 20_000}
	b := make([]byte, sizes[v%uint64(len(sizes))])
	binary.LittleEndian.PutUint64(b[len(b)-8:], v)
	allocate := pmem.AllocBytes
	if key%2 == 1 {
		allocate = pmem.AllocImmutableBytes
	}
	if s.Ref, err = allocate(tx, b); err != nil {
		return err
	}
	return pmem.Set(tx, f[key], s)
}

// pools are where the histories are recorded.
var pools = []struct {
	name string
	make func(t *testing.T) (*pmem.Pool, error)
}{
	{"volatile", func(t *testing.T) (*pmem.Pool, error) {
		m, err := medium.NewVolatile(4<<20, 4<<20)
		if err != nil {
			t.Fatal(err)
		}
		return pmem.CreateOn(m, pmem.Options{LogSize: 32 << 10})
	}},
	{"tmpfs", func(t *testing.T) (*pmem.Pool, error) {
		dir, err := os.MkdirTemp("/dev/shm", "safevma-isolation-")
		if err != nil {
			t.Skipf("no folder in /dev/shm: %v", err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		return pmem.Create(filepath.Join(dir, "pool"), 4<<20, pmem.Options{LogSize: 32 << 10})
	}},
}

func newPool(t *testing.T, make func(*testing.T) (*pmem.Pool, error)) *pmem.Pool {
	t.Helper()
	p, err := make(t)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func record(t *testing.T, seed uint64, s workload.Store) *history.Report {
	t.Helper()
	c := workload.New(seed)
	c.Keys = keys
	if testing.Short() {
		c.Transactions = 150
	}
	h, err := workload.Run(c, s)
	if err != nil {
		t.Fatal(c, err)
	}
	r, err := history.Check(h, history.Options{Attempts: true, Details: 1})
	if err != nil {
		t.Fatal(c, err)
	}
	return r
}

// What concurrent transactions did could have been done one after the other, in an order that keeps
// real time. Also what those saw that were run again is a state between two transactions.
func TestStrictSerialisability(t *testing.T) {
	seeds := uint64(4)
	if testing.Short() {
		seeds = 2
	}
	for _, where := range pools {
		for name, kind := range map[string]func() registers{"set": func() registers { return &objects{} }, "alloc and free": func() registers { return &fresh{} }} {
			t.Run(where.name+"/"+name, func(t *testing.T) {
				aborted := 0
				for seed := range seeds {
					r := record(t, seed, newAdapter(t, newPool(t, where.make), kind()))
					if !r.OK() {
						t.Fatalf("seed %d: %s", seed, r)
					}
					aborted += r.Aborted
					t.Logf("seed %d: %s", seed, r)
				}
				if aborted < 50 {
					t.Errorf("%d transactions met a conflict: this shows nothing", aborted)
				}
			})
		}
	}
}

// later is a twin that reads in one transaction, and writes in the next.
type later struct{ adapter }

type buffered struct {
	within
	writes map[int]uint64
}

func (b buffered) Get(key int) (uint64, error) {
	if v, ok := b.writes[key]; ok {
		return v, nil
	}
	return b.within.Get(key)
}

func (b buffered) Set(key int, v uint64) error { b.writes[key] = v; return nil }

func (l later) Update(fn func(workload.Tx) error) error {
	var writes map[int]uint64
	err := l.p.View(context.Background(), func(tx *pmem.Tx) error {
		writes = map[int]uint64{}
		return fn(buffered{within{l.adapter, tx}, writes})
	})
	if err != nil {
		return err
	}
	return l.p.Update(context.Background(), func(tx *pmem.Tx) error {
		for key, v := range writes {
			if err := l.set(tx, key, v); err != nil {
				return err
			}
		}
		return nil
	})
}

// outside is a twin that reads what it did not write in a transaction of its own.
type outside struct{ adapter }

type reading struct {
	buffered
}

func (r reading) Get(key int) (v uint64, err error) {
	if _, ok := r.writes[key]; ok {
		return r.within.Get(key)
	}
	err = r.p.View(context.Background(), func(tx *pmem.Tx) error { v, err = r.get(tx, key); return err })
	return v, err
}

func (r reading) Set(key int, v uint64) error { r.writes[key] = v; return r.within.Set(key, v) }

func (o outside) Update(fn func(workload.Tx) error) error {
	return o.adapter.Update(func(tx workload.Tx) error { return fn(reading{buffered{tx.(within), map[int]uint64{}}}) })
}

// pieces is a twin whose views are several.
type pieces struct{ adapter }

func (p pieces) View(fn func(workload.Tx) error) error {
	return p.adapter.View(func(tx workload.Tx) error { return fn(reading{buffered{tx.(within), map[int]uint64{}}}) })
}

// The control: each broken twin of the store is found to be what it is.
func TestBrokenTwinsAreFound(t *testing.T) {
	for _, twin := range []struct {
		name string
		make func(adapter) workload.Store
		want history.Anomaly
	}{
		{"writes later", func(a adapter) workload.Store { return later{a} }, history.LostUpdate},
		{"reads outside", func(a adapter) workload.Store { return outside{a} }, history.LostUpdate},
		{"views in pieces", func(a adapter) workload.Store { return pieces{a} }, history.ReadSkew},
	} {
		t.Run(twin.name, func(t *testing.T) {
			for seed := range uint64(20) {
				r := record(t, seed, twin.make(newAdapter(t, newPool(t, pools[0].make), &objects{})))
				if r.Has(twin.want) {
					t.Logf("seed %d: %s", seed, r)
					return
				}
			}
			t.Errorf("20 seeds, and no %s", twin.want)
		})
	}
}
