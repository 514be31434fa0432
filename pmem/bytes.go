package pmem

import (
	"fmt"
	"math"
	"reflect"
)

// Bytes is the type of objects that hold bytes, as many as they were made with. It is used in
// references alone.
type Bytes struct{ _ byte }

var bytesType = reflect.TypeFor[Bytes]()

func isBytes(h header) error {
	if h.typ != typeBytes {
		return fmt.Errorf("%w: the object has type %d, bytes are type %d", ErrType, h.typ, typeBytes)
	}
	return nil
}

// AllocBytes makes an object of bytes.
func AllocBytes(tx *Tx, b []byte) (Ref[Bytes], error) { return allocBytes(tx, typeBytes, b, 0) }

// AllocImmutableBytes makes an object of bytes that never changes until it is freed. It can be
// borrowed.
func AllocImmutableBytes(tx *Tx, b []byte) (Ref[Bytes], error) {
	return allocBytes(tx, typeBytes, b, flagImmutable)
}

func allocBytes(tx *Tx, typ uint32, b []byte, flags uint8) (Ref[Bytes], error) {
	if err := tx.writable(); err != nil {
		return Ref[Bytes]{}, err
	}
	off, incarnation, err := tx.alloc(typ, flags, b)
	return newRef[Bytes](off, incarnation), err
}

// Len returns how many bytes an object has.
func Len(tx *Tx, r Ref[Bytes]) (n int64, err error) {
	err = tx.get(r.word, func(h header) error { n = int64(h.size); return isBytes(h) }, 0, nil)
	return n, err
}

// AppendBytes appends the bytes of an object to dst.
func AppendBytes(tx *Tx, r Ref[Bytes], dst []byte) ([]byte, error) {
	n, err := Len(tx, r)
	if err != nil {
		return dst, err
	}
	all := append(dst, make([]byte, n)...)
	if err := tx.get(r.word, isBytes, 0, all[len(dst):]); err != nil {
		return dst, err
	}
	return all, nil
}

// ReadBytes copies bytes of an object, from an offset on, into p. Bytes that it does not have are
// an error.
func ReadBytes(tx *Tx, r Ref[Bytes], off int64, p []byte) error {
	return tx.get(r.word, within(off, len(p), isBytes), off, p)
}

// SetBytes changes bytes of an object, from an offset on. An object keeps its length.
func SetBytes(tx *Tx, r Ref[Bytes], off int64, b []byte) error {
	return tx.set(r.word, within(off, len(b), func(h header) error {
		if h.flags&flagImmutable != 0 {
			return fmt.Errorf("%w: an object of bytes", ErrImmutable)
		}
		return isBytes(h)
	}), off, b)
}

func within(off int64, n int, check func(header) error) func(header) error {
	return func(h header) error {
		if err := check(h); err != nil {
			return err
		}
		if off < 0 || off > int64(h.size) || int64(n) > int64(h.size)-off {
			return fmt.Errorf("%w: %d bytes at %d of an object of %d bytes", ErrReference, n, min(off, math.MaxInt64), h.size)
		}
		return nil
	}
}

// BorrowBytes lends the bytes of an object that was declared immutable: see [Borrow].
func BorrowBytes(tx *Tx, r Ref[Bytes]) ([]byte, error) {
	if err := tx.usable(); err != nil {
		return nil, err
	}
	return tx.borrow(r.word, isBytes)
}
