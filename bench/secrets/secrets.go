// Package secrets has contenders that keep secrets in memory: pools and regions of safevma, and
// memguard.
package secrets

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/awnumar/memguard"

	"github.com/safevma/safevma/bench/measure"
	"github.com/safevma/safevma/bench/pool"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/region"
	secretpool "github.com/safevma/safevma/region/pool"
)

// size of each secret, in bytes.
const size = 32

var errOther = errors.New("it is not the secret that was kept")

// Works are the contenders by name: what n means is nothing.
var Works = map[string]func(folder string, n, ops int) (pool.Result, error){
	"secret-pool":           allocate,
	"secret-sealed":         open,
	"secret-windowed":       openWindow,
	"secret-mprotect":       pair,
	"secret-window":         window,
	"memguard-buffer":       buffer,
	"memguard-enclave":      enclave,
	"secret-pool-read":      read,
	"secret-pool-bytes":     lent,
	"secret-slice":          slice,
	"memguard-buffer-bytes": bufferBytes,
}

// timed runs do so many times, after some that do not count.
func timed(name string, ops int, do func() error) (pool.Result, error) {
	for range min(ops, 1000) {
		if err := do(); err != nil {
			return pool.Result{}, err
		}
	}
	var clock measure.Clock
	clock.Start()
	for range ops {
		if err := do(); err != nil {
			return pool.Result{}, err
		}
	}
	clock.Stop()
	return pool.Result{Measures: []measure.Measure{clock.Measure(name, ops)}}, nil
}

// locked is what memguard's buffers are: locked, between guards, not dumped.
func locked(more ...region.Option) ([]region.Option, string) {
	return append([]region.Option{region.Resident(), region.Guarded(), region.NoDump()}, more...),
		"pool of 64 KiB, Resident, Guarded, NoDump"
}

// within makes a pool with 1,000 secrets in it, and does something beside them.
func within(do func(p *secretpool.Pool) (pool.Result, error), more ...region.Option) (result pool.Result, err error) {
	options, note := locked(more...)
	p, err := secretpool.New(secretpool.Options{Size: 64 << 10, Guarantees: options})
	if err != nil {
		return result, err
	}
	for range 1000 {
		if _, err := p.Random(size); err != nil {
			return result, errors.Join(err, p.Close())
		}
	}
	result, err = do(p)
	result.Notes = append(result.Notes, fmt.Sprintf("%s, 1,000 secrets beside", note))
	return result, errors.Join(err, p.Check(), p.Close())
}

// allocate allocates a secret and frees it.
func allocate(_ string, _, ops int) (pool.Result, error) {
	return within(func(p *secretpool.Pool) (pool.Result, error) {
		return timed("alloc", ops, func() error {
			s, err := p.Alloc(size)
			if err != nil {
				return err
			}
			return s.Free()
		})
	})
}

func buffer(_ string, _, ops int) (pool.Result, error) {
	return timed("alloc", ops, func() error {
		memguard.NewBuffer(size).Destroy()
		return nil
	})
}

// secret returns a random secret, and a copy of it.
func secret() (b, same []byte) {
	b = make([]byte, size)
	rand.Read(b)
	return b, bytes.Clone(b)
}

// open opens a sealed secret, looks at it and frees it.
func open(_ string, _, ops int) (pool.Result, error) {
	return within(func(p *secretpool.Pool) (pool.Result, error) {
		b, same := secret()
		sealed, err := p.Seal(b)
		if err != nil {
			return pool.Result{}, err
		}
		return timed("open", ops, func() error {
			s, err := sealed.Open(nil)
			if err != nil {
				return err
			}
			return errors.Join(s.Read(func(b []byte) error { return expect(b, same) }), s.Free())
		})
	})
}

func expect(b, same []byte) error {
	if !bytes.Equal(b, same) {
		return errOther
	}
	return nil
}

func enclave(_ string, _, ops int) (pool.Result, error) {
	b, same := secret()
	e := memguard.NewEnclave(b)
	return timed("open", ops, func() error {
		opened, err := e.Open()
		if err != nil {
			return err
		}
		defer opened.Destroy()
		return expect(opened.Bytes(), same)
	})
}

// openWindow looks at a secret of a windowed pool.
func openWindow(_ string, _, ops int) (pool.Result, error) {
	return within(func(p *secretpool.Pool) (pool.Result, error) {
		b, same := secret()
		s, err := p.Move(b)
		if err != nil {
			return pool.Result{}, err
		}
		return timed("open", ops, func() error {
			return s.Read(func(b []byte) error { return expect(b, same) })
		})
	}, region.Windowed())
}

// window opens a region to write a byte.
func window(_ string, _, ops int) (pool.Result, error) {
	options, _ := locked(region.Windowed())
	r, err := region.Map(size, options...)
	if err != nil {
		return pool.Result{}, err
	}
	result, err := timed("window", ops, func() error {
		return r.Write(func(b []byte) error { b[0]++; return nil })
	})
	return result, errors.Join(err, r.Close())
}

// pair is the least that a window without protection keys is.
func pair(_ string, _, ops int) (pool.Result, error) {
	options, _ := locked()
	r, err := region.Map(4096, options...)
	if err != nil {
		return pool.Result{}, err
	}
	page := r.Bytes()
	result, err := timed("window", ops, func() error {
		if err := sys.Mprotect(page, sys.ProtRead|sys.ProtWrite); err != nil {
			return err
		}
		page[0]++
		return sys.Mprotect(page, sys.ProtNone)
	})
	return result, errors.Join(err, sys.Mprotect(page, sys.ProtRead|sys.ProtWrite), r.Close())
}

// sum reads all bytes of a secret.
func sum(b []byte) (n int) {
	for _, c := range b {
		n += int(c)
	}
	return n
}

// Total is where what was read goes, so that it is read.
var Total int

// read reads a secret of a pool, by its handle.
func read(_ string, _, ops int) (pool.Result, error) {
	return within(func(p *secretpool.Pool) (pool.Result, error) {
		s, err := p.Random(size)
		if err != nil {
			return pool.Result{}, err
		}
		return timed("read", ops, func() error {
			return s.Read(func(b []byte) error { Total += sum(b); return nil })
		})
	})
}

// lent reads bytes that were lent once.
func lent(_ string, _, ops int) (pool.Result, error) {
	return within(func(p *secretpool.Pool) (pool.Result, error) {
		s, err := p.Random(size)
		if err != nil {
			return pool.Result{}, err
		}
		b, err := s.Bytes()
		if err != nil {
			return pool.Result{}, err
		}
		return timed("read", ops, func() error { Total += sum(b); return nil })
	})
}

func slice(_ string, _, ops int) (pool.Result, error) {
	b, _ := secret()
	return timed("read", ops, func() error { Total += sum(b); return nil })
}

func bufferBytes(_ string, _, ops int) (pool.Result, error) {
	b := memguard.NewBufferRandom(size)
	defer b.Destroy()
	return timed("read", ops, func() error { Total += sum(b.Bytes()); return nil })
}
