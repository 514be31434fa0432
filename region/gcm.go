package region

import (
	"crypto/cipher"
	"errors"
	"fmt"

	"github.com/safevma/safevma/internal/gcm"
)

// GCM is AES in Galois Counter Mode, as crypto/cipher has it, with everything that is made of the
// key in a region. The standard library keeps it on the Go heap, where it stays after the cipher is
// no longer used, until something else takes the place. Its methods may be called concurrently.
type GCM struct {
	region *Region
	aead   cipher.AEAD
}

// NewGCM expands a key of 16, 24 or 32 bytes into a region with the given guarantees. The key is the
// caller's: keep it in a region too, or clear it. While the key is expanded, parts of it are in
// registers and on the stack, which [Do] erases where it can. [ErrUnsupported] reports a version of
// Go whose cipher can't be moved.
func NewGCM(key []byte, options ...Option) (*GCM, error) {
	size, err := gcm.Size()
	if err != nil {
		return nil, gcmError(err)
	}
	r, err := Map(size, options...)
	if err != nil {
		return nil, err
	}
	g := &GCM{region: r}
	err = r.Write(func(place []byte) (err error) {
		Do(func() { g.aead, err = gcm.New(place, key) })
		return err
	})
	if err != nil {
		r.Close()
		return nil, gcmError(err)
	}
	return g, nil
}

func gcmError(err error) error {
	if errors.Is(err, gcm.ErrLayout) {
		err = both(ErrUnsupported, err)
	}
	return &Error{Op: "cipher", Err: err}
}

// The sizes of what [GCM] works with, in bytes.
const (
	GCMNonceSize = 12
	GCMOverhead  = 16 // that a sealed text is longer
)

// Seal encrypts and authenticates plaintext, authenticates data, and appends the result to dst, as
// [cipher.AEAD] does. A nonce is used once, ever, for one key. [ErrSize] reports a nonce of another
// length than [GCMNonceSize].
func (g *GCM) Seal(dst, nonce, plaintext, data []byte) (sealed []byte, err error) {
	err = g.with(nonce, func() error { sealed = g.aead.Seal(dst, nonce, plaintext, data); return nil })
	return sealed, err
}

// Open is the reverse of Seal. [ErrCorrupt] reports a text or data that was not sealed so. To have
// the result in a region, give it as dst: its bytes, cut to length 0.
func (g *GCM) Open(dst, nonce, ciphertext, data []byte) (opened []byte, err error) {
	err = g.with(nonce, func() (err error) {
		if opened, err = g.aead.Open(dst, nonce, ciphertext, data); err != nil {
			err = &Error{Op: "open", Err: both(ErrCorrupt, err)}
		}
		return err
	})
	return opened, err
}

// with runs fn while the key can be read, and erases what that leaves where it can.
func (g *GCM) with(nonce []byte, fn func() error) error {
	if len(nonce) != GCMNonceSize {
		return &Error{Op: "cipher", Reason: fmt.Sprintf("a nonce of %d bytes", len(nonce)), Err: ErrSize}
	}
	return g.region.Read(func([]byte) (err error) {
		Do(func() { err = fn() })
		return err
	})
}

// Region returns the region that the expanded key is in.
func (g *GCM) Region() *Region { return g.region }

// Close closes the region.
func (g *GCM) Close() error { return g.region.Close() }
