package pool

import (
	"crypto/rand"
	"crypto/subtle"

	"github.com/safevma/safevma/region"
)

// Secret is a handle of a secret: small, to be copied and compared. The zero Secret is none, and
// counts as freed.
type Secret struct {
	slot *slot
	gen  uint64
}

// Owner returns whose the secret is; nil where nobody owns it or it was freed.
func (s Secret) Owner() *Owner {
	if s.pin() != nil {
		return nil
	}
	defer s.unpin()
	if o := s.slot.owner.Load(); o != &s.slot.page.pool.nobody {
		return o
	}
	return nil
}

// Len returns how many bytes the secret has; 0 if it was freed.
func (s Secret) Len() int {
	if s.pin() != nil {
		return 0
	}
	defer s.unpin()
	return int(s.slot.size.Load())
}

// pin makes sure that the secret is there until unpin.
func (s Secret) pin() error {
	if s.slot == nil {
		return ErrFreed
	}
	for {
		state := s.slot.state.Load()
		if state>>genShift != s.gen || state&kindMask != live {
			return ErrFreed
		}
		if state&userMask == userMask {
			return ErrInUse
		}
		if s.slot.state.CompareAndSwap(state, state+oneUser) {
			break
		}
	}
	if s.slot.page.pool.closed.Load() {
		s.unpin()
		return region.ErrClosed
	}
	return nil
}

func (s Secret) unpin() { s.slot.state.Add(^uint64(oneUser - 1)) }

// Read runs fn on the bytes of the secret, which can't be freed meanwhile. fn must not keep them,
// and not change them. In a windowed pool the window is open as long as fn runs. The error is that
// of fn, [ErrFreed] or region.ErrClosed.
func (s Secret) Read(fn func(b []byte) error) error {
	if err := s.pin(); err != nil {
		return failed("read", err)
	}
	defer s.unpin()
	if s.slot.page.bytes != nil {
		return fn(s.of(s.slot.page.bytes))
	}
	return s.slot.page.read(func(page []byte) error { return fn(s.of(page)) })
}

// Write is as [Secret.Read], and fn may change the bytes.
func (s Secret) Write(fn func(b []byte) error) error {
	if err := s.pin(); err != nil {
		return failed("write", err)
	}
	defer s.unpin()
	if s.slot.page.bytes != nil {
		return fn(s.of(s.slot.page.bytes))
	}
	return s.slot.page.write(func(page []byte) error { return fn(s.of(page)) })
}

func (s Secret) of(page []byte) []byte {
	begin := int(s.slot.off)
	end := begin + int(s.slot.size.Load())
	return page[begin:end:end]
}

// Bytes lends the bytes of the secret until Free, without a check after this one: what uses them
// later is not found. [ErrWindowed] in a windowed pool.
func (s Secret) Bytes() ([]byte, error) {
	if err := s.pin(); err != nil {
		return nil, failed("bytes", err)
	}
	defer s.unpin()
	if s.slot.page.bytes == nil {
		return nil, failed("bytes", ErrWindowed)
	}
	return s.of(s.slot.page.bytes), nil
}

// Equal says whether the secret is b, in a time that depends on the lengths alone.
func (s Secret) Equal(b []byte) (bool, error) {
	equal := 0
	err := s.Read(func(own []byte) error { equal = subtle.ConstantTimeCompare(own, b); return nil })
	return equal == 1, err
}

// Random returns a secret of n random bytes.
func (o *Owner) Random(n int) (Secret, error) {
	return o.filled(n, func(b []byte) error { _, err := rand.Read(b); return err })
}

// Move returns a secret with the bytes of b, and makes b zero. Other copies of what was in b, such
// as those that growing slices leave behind, are not known here.
func (o *Owner) Move(b []byte) (Secret, error) {
	return o.filled(len(b), func(own []byte) error { copy(own, b); clear(b); return nil })
}

func (o *Owner) filled(n int, fill func(b []byte) error) (Secret, error) {
	s, err := o.Alloc(n)
	if err != nil {
		return Secret{}, err
	}
	if err := s.Write(fill); err != nil {
		s.Free()
		return Secret{}, err
	}
	return s, nil
}

// Random is [Owner.Random] for nobody.
func (p *Pool) Random(n int) (Secret, error) { return p.nobody.Random(n) }

// Move is [Owner.Move] for nobody.
func (p *Pool) Move(b []byte) (Secret, error) { return p.nobody.Move(b) }
