package pmem

import "fmt"

// want is what a caller expects of an object. It is passed down by value: a closure in its place
// costs an allocation for each access.
type want struct {
	typ     uint32
	sized   bool  // the object has exactly size bytes
	size    int64 // in bytes
	change  bool  // it is about to be changed
	lend    bool  // it is about to be lent
	ranged  bool  // from and length are inside it
	from    int64
	length  int64
	purpose string // name of the type, for errors
}

// holds says what of an object is not as expected.
func (w *want) holds(h header) error {
	immutable := h.flags&flagImmutable != 0
	switch {
	case h.typ != w.typ || w.sized && int64(h.size) != w.size:
		return fmt.Errorf("%w: the object has type %d and %d bytes, and not type %d (%s)", ErrType, h.typ, h.size, w.typ, w.purpose)
	case w.change && immutable:
		return fmt.Errorf("%w: an object of type %s was declared so", ErrImmutable, w.purpose)
	case w.lend && !immutable:
		return fmt.Errorf("%w: an object of type %s may change, so it can't be borrowed: Get a copy", ErrImmutable, w.purpose)
	case w.ranged && (w.from < 0 || w.from > int64(h.size) || w.length > int64(h.size)-w.from):
		return fmt.Errorf("%w: %d bytes at %d of an object of %d bytes", ErrReference, w.length, w.from, h.size)
	}
	return nil
}

func (k *typed) want() want {
	return want{typ: k.id, sized: true, size: k.size, purpose: k.name}
}

func wantBytes() want { return want{typ: typeBytes, purpose: "bytes"} }
