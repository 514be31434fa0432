package pool

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/safevma/safevma/internal/gcm"
	"github.com/safevma/safevma/region"
)

// Sealed is a secret that is encrypted (AES-256-GCM) until it is opened. It is ordinary memory on
// the Go heap, takes nothing of the pool and of the limit for locked memory, and there may be any
// number. The key is random, of one pool, and in the pool, with all that is made of it: so a
// core dump, swap, or whatever else reads the heap alone shows nothing. Who can read the memory of
// the pool can open what it sealed.
//
// A Sealed may be opened any number of times, by several goroutines. When the pool is closed, it
// can't be opened any more.
type Sealed struct {
	pool  *Pool
	nonce [12]byte
	text  []byte
}

// sealer is the cipher of a pool, made when it is first needed.
type sealer struct {
	key    Secret // holds what the cipher is made of
	aead   cipher.AEAD
	number atomic.Uint64 // of the nonces that are used up: no two are equal under one key
}

// Seal returns what b holds, sealed, and makes b zero. [ErrWindowed] in a windowed pool, where all
// secrets are closed as they are.
func (p *Pool) Seal(b []byte) (*Sealed, error) {
	if len(b) == 0 || len(b) > MaxSize {
		return nil, failed("seal", region.ErrSize)
	}
	e, err := p.sealer()
	if err != nil {
		return nil, failed("seal", err)
	}
	if err := e.key.pin(); err != nil {
		return nil, failed("seal", err)
	}
	defer e.key.unpin()
	s := &Sealed{pool: p}
	e.encrypt(s, b)
	clear(b)
	return s, nil
}

// encrypt fills s with what b holds.
//
// Precondition: the key is pinned, or another secret of the pool.
func (e *sealer) encrypt(s *Sealed, b []byte) {
	s.text = make([]byte, 0, len(b)+tagSize)
	binary.LittleEndian.PutUint64(s.nonce[:], e.number.Add(1))
	region.Do(func() { s.text = e.aead.Seal(s.text, s.nonce[:], b, nil) })
}

// Seal seals a secret, and frees it. Where it fails, the secret is as before, but after
// region.ErrCorrupt, which says what [Secret.Free] found: then it is freed, and sealed.
func (s Secret) Seal() (*Sealed, error) {
	if s.slot == nil {
		return nil, failed("seal", ErrFreed)
	}
	var sealed *Sealed
	err := s.Read(func(b []byte) error {
		e, err := s.slot.page.pool.sealer()
		if err != nil {
			return failed("seal", err)
		}
		sealed = &Sealed{pool: s.slot.page.pool}
		e.encrypt(sealed, b)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := s.Free(); err != nil && !errors.Is(err, region.ErrCorrupt) {
		return nil, err
	} else {
		return sealed, err
	}
}

// Len returns how many bytes the secret has.
func (s *Sealed) Len() int { return max(0, len(s.text)-tagSize) }

const tagSize = 16 // of GCM

// Open returns a new secret, on the account of an owner, with what was sealed. nil is nobody. The
// Sealed stays, and can be opened again. region.ErrCorrupt says that it was changed.
func (s *Sealed) Open(o *Owner) (Secret, error) {
	if s.pool == nil { // no pool made it
		return Secret{}, failed("open", region.ErrClosed)
	}
	if o == nil {
		o = &s.pool.nobody
	}
	if o.pool != s.pool {
		return Secret{}, failed("open", errors.New("the owner is of another pool"))
	}
	e, err := s.pool.sealer()
	if err != nil {
		return Secret{}, failed("open", err)
	}
	to, err := o.Alloc(s.Len())
	if err != nil {
		return Secret{}, err
	}
	if err := to.decrypt(e, s); err != nil {
		to.Free()
		return Secret{}, failed("open", err)
	}
	return to, nil
}

// decrypt opens s into a secret of its size. While that is in use, the pool with the key in it
// can't be closed.
func (to Secret) decrypt(e *sealer, s *Sealed) error {
	if err := to.pin(); err != nil {
		return err
	}
	defer to.unpin()
	b := to.of(to.slot.page.bytes)
	var err error
	region.Do(func() { _, err = e.aead.Open(b[:0], s.nonce[:], s.text, nil) })
	if err != nil {
		return fmt.Errorf("%w: %w", region.ErrCorrupt, err)
	}
	return nil
}

// sealer returns the pool's cipher, and makes it if there is none.
func (p *Pool) sealer() (*sealer, error) {
	if e := p.sealing.Load(); e != nil {
		return e, nil
	}
	p.makingSealer.Lock()
	defer p.makingSealer.Unlock()
	if e := p.sealing.Load(); e != nil {
		return e, nil
	}
	if p.windowed {
		return nil, ErrWindowed
	}
	e, err := p.newSealer()
	if err != nil {
		return nil, err
	}
	p.sealing.Store(e)
	return e, nil
}

func (p *Pool) newSealer() (*sealer, error) {
	size, err := gcm.Size()
	if err != nil {
		return nil, err
	}
	place, err := p.Alloc(size)
	if err != nil {
		return nil, err
	}
	e := &sealer{key: place}
	if err := e.expand(p); err != nil {
		place.Free()
		return nil, err
	}
	return e, nil
}

// expand makes a random key, which is gone when it returns, and the cipher from it.
func (e *sealer) expand(p *Pool) error {
	key, err := p.Alloc(32)
	if err != nil {
		return err
	}
	err = e.key.Write(func(place []byte) error {
		return key.Write(func(b []byte) (err error) {
			if _, err = rand.Read(b); err != nil {
				return err
			}
			region.Do(func() { e.aead, err = gcm.New(place, b) })
			return err
		})
	})
	return errors.Join(err, key.Free())
}
