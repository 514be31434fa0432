package region

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"reflect"

	"github.com/safevma/safevma/internal/plain"
)

// ErrType reports a type that can't be in a region, since it holds Go pointers, or nothing.
var ErrType = errors.New("the type can't be in a region")

// Value is a region with one value of a type. Its methods may be called concurrently.
type Value[T any] struct{ region *Region }

// New is [Map] for a value of a type, which is zero. The type holds no Go pointers: no strings,
// slices, maps, channels, functions or interfaces, in no field; [ErrType] names the first that is
// none of plain data. A string of bounded length is an array of bytes and a length.
func New[T any](options ...Option) (*Value[T], error) {
	size, err := sizeOf[T]()
	if err != nil {
		return nil, err
	}
	r, err := Map(size, options...)
	if err != nil {
		return nil, err
	}
	return &Value[T]{r}, nil
}

func sizeOf[T any]() (int, error) {
	t := reflect.TypeFor[T]()
	err := plain.Check(t)
	if err == nil && t.Size() == 0 {
		err = errors.New("it has no bytes")
	}
	if err != nil {
		return 0, &Error{Op: "new", Reason: fmt.Sprintf("%v: %v", t, err), Err: ErrType}
	}
	return int(t.Size()), nil
}

// Fill makes a function for [ReadOnly] that fills a value of a type, for [New] of the same type.
func Fill[T any](fn func(*T) error) func([]byte) error {
	return func(b []byte) error {
		if size, err := sizeOf[T](); err != nil || size != len(b) {
			return &Error{Op: "new", Reason: fmt.Sprintf("%v does not fill %d bytes", reflect.TypeFor[T](), len(b)), Err: ErrType}
		}
		return fn(valueAt[T](b))
	}
}

// Get returns the value, as [Region.Bytes] does: nil for a closed region and a Windowed one.
func (v *Value[T]) Get() *T {
	b := v.region.Bytes()
	if b == nil {
		return nil
	}
	return valueAt[T](b)
}

// Read is [Region.Read] with the value.
func (v *Value[T]) Read(fn func(*T) error) error {
	return v.region.Read(func(b []byte) error { return fn(valueAt[T](b)) })
}

// Write is [Region.Write] with the value.
func (v *Value[T]) Write(fn func(*T) error) error {
	return v.region.Write(func(b []byte) error { return fn(valueAt[T](b)) })
}

// Region returns the region that the value is in.
func (v *Value[T]) Region() *Region { return v.region }

// Close closes the region.
func (v *Value[T]) Close() error { return v.region.Close() }

// Equal says whether the region holds exactly b, in a time that depends on the lengths alone.
func (r *Region) Equal(b []byte) (bool, error) {
	equal := 0
	err := r.Read(func(own []byte) error { equal = subtle.ConstantTimeCompare(own, b); return nil })
	return equal == 1, err
}
