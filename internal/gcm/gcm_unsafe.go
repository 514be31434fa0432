// Package gcm has AES in Galois Counter Mode with its expanded key where the caller wants it: in
// memory that is locked, secret, guarded, in place of the Go heap, where crypto/aes puts it.
//
// It does not implement the cipher. What crypto/cipher returns points to a value without pointers:
// its bytes are moved to the place, overwritten where they were, and used there through the same
// type. A version of Go in which that value holds pointers is refused, never half supported.
package gcm

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	"github.com/safevma/safevma/internal/plain"
)

// ErrLayout reports that this version of Go keeps the expanded key in several places.
var ErrLayout = errors.New("the expanded key of crypto/aes can't be moved")

// Size returns how many bytes a place needs.
func Size() (int, error) {
	var zero [32]byte
	whole, _, err := build(zero[:])
	if err != nil {
		return 0, err
	}
	return int(whole.Type().Elem().Size()), nil
}

// New expands a key of 16, 24 or 32 bytes into a place, whose address is a multiple of 8 and which
// stays mapped as long as the cipher is used. Of the key nothing is left on the Go heap; on the
// stack and in registers there may be parts of it, unless the caller erases those (package
// runtime/secret).
func New(place, key []byte) (cipher.AEAD, error) {
	whole, block, err := build(key)
	if err != nil {
		return nil, err
	}
	defer clear(bytesOf(block))
	defer clear(bytesOf(whole))
	t := whole.Type().Elem()
	if addr := uintptr(unsafe.Pointer(unsafe.SliceData(place))); len(place) < int(t.Size()) || addr%uintptr(t.Align()) != 0 {
		return nil, fmt.Errorf("a place of %d bytes at %#x, want %d aligned to %d", len(place), addr, t.Size(), t.Align())
	}
	copy(place, bytesOf(whole))
	return reflect.NewAt(t, unsafe.Pointer(unsafe.SliceData(place))).Interface().(cipher.AEAD), nil
}

// build returns pointers to the mode and to the block cipher that it was made from.
func build(key []byte) (mode, block reflect.Value, err error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return mode, block, err
	}
	m, err := cipher.NewGCM(b)
	if err != nil {
		return mode, block, err
	}
	mode, block = reflect.ValueOf(m), reflect.ValueOf(b)
	for _, v := range []reflect.Value{mode, block} {
		if v.Kind() != reflect.Pointer {
			return mode, block, fmt.Errorf("%w: it is in a %v", ErrLayout, v.Type())
		}
		if err := plain.Check(v.Type().Elem()); err != nil {
			return mode, block, fmt.Errorf("%w: %v: %w", ErrLayout, v.Type(), err)
		}
	}
	return mode, block, nil
}

// bytesOf lends the bytes of the plain value that v points to.
func bytesOf(v reflect.Value) []byte {
	return unsafe.Slice((*byte)(v.UnsafePointer()), v.Type().Elem().Size())
}
