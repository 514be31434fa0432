package pmem

import (
	"fmt"
	"reflect"
)

// Ref refers to an object in a pool: 48 bits of offset, and 16 of the incarnation of what is
// there, so that a reference to an object that was freed is an error ([ErrStale]), whatever
// is in its place. The zero value refers to nothing. A Ref can be a field of an object; it holds
// in the pool that it came from.
type Ref[T any] struct{ word uint64 }

func newRef[T any](off int64, incarnation uint16) Ref[T] {
	return Ref[T]{uint64(off) | uint64(incarnation)<<offsetBits}
}

// IsNil reports whether it refers to nothing.
func (r Ref[T]) IsNil() bool { return r.word == 0 }

// Offset is where the object is, in bytes from the begin of the pool.
func (r Ref[T]) Offset() int64 { return int64(r.word & (1<<offsetBits - 1)) }

func (r Ref[T]) incarnation() uint16 { return uint16(r.word >> offsetBits) }

func (r Ref[T]) refersTo() reflect.Type { return reflect.TypeFor[T]() }

// String is the offset and the incarnation: "4096.2".
func (r Ref[T]) String() string {
	if r.IsNil() {
		return "nil"
	}
	return fmt.Sprintf("%d.%d", r.Offset(), r.incarnation())
}
