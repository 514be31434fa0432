package pmem

import (
	"errors"
	"testing"
)

type likeNode struct {
	Value uint64
	Other Ref[likeNode]
}

// A reference is to an object of its type, in all that is done with it; and what was declared
// immutable does not change, and alone is lent.
func TestWhatIsWanted(t *testing.T) {
	p := newTestPool(t, 1<<20, Options{})
	var a Ref[node]
	var fixed Ref[node]
	var text, fixedText Ref[Bytes]
	update(t, p, func(tx *Tx) error {
		var errs [5]error
		a, errs[0] = Alloc(tx, node{Value: 7})
		fixed, errs[1] = AllocImmutable(tx, node{Value: 8})
		text, errs[2] = AllocBytes(tx, make([]byte, 16))
		fixedText, errs[3] = AllocImmutableBytes(tx, make([]byte, 2000))
		_, errs[4] = Alloc(tx, likeNode{})
		return errors.Join(errs[:]...)
	})
	like := Ref[likeNode](a) // of as many bytes, and another type
	for name, one := range map[string]struct {
		want error
		do   func(tx *Tx) error
	}{
		"get of another type":        {ErrType, func(tx *Tx) error { _, err := Get(tx, like); return err }},
		"set of another type":        {ErrType, func(tx *Tx) error { return Set(tx, like, likeNode{}) }},
		"free of another type":       {ErrType, func(tx *Tx) error { return Free(tx, like) }},
		"borrow of another type":     {ErrType, func(tx *Tx) error { _, err := Borrow(tx, Ref[likeNode](fixed)); return err }},
		"bytes of an object":         {ErrType, func(tx *Tx) error { _, err := AppendBytes(tx, Ref[Bytes](a), nil); return err }},
		"an object of bytes":         {ErrType, func(tx *Tx) error { _, err := Get(tx, Ref[node](text)); return err }},
		"root of another type":       {ErrType, func(tx *Tx) error { return errors.Join(SetRoot(tx, "r", a), SetRoot(tx, "r", like)) }},
		"set of an immutable":        {ErrImmutable, func(tx *Tx) error { return Set(tx, fixed, node{}) }},
		"set of immutable bytes":     {ErrImmutable, func(tx *Tx) error { return SetBytes(tx, fixedText, 1900, []byte{1}) }},
		"borrow of what may change":  {ErrImmutable, func(tx *Tx) error { _, err := Borrow(tx, a); return err }},
		"borrow of bytes, likewise":  {ErrImmutable, func(tx *Tx) error { _, err := BorrowBytes(tx, text); return err }},
		"bytes before the begin":     {ErrReference, func(tx *Tx) error { return SetBytes(tx, text, -1, []byte{1}) }},
		"bytes behind the end":       {ErrReference, func(tx *Tx) error { return SetBytes(tx, text, 10, make([]byte, 7)) }},
		"read of what is behind":     {ErrReference, func(tx *Tx) error { return ReadBytes(tx, text, 17, nil) }},
		"get of nothing":             {ErrReference, func(tx *Tx) error { _, err := Get(tx, Ref[node]{}); return err }},
		"get, and it was freed here": {ErrStale, func(tx *Tx) error { err := Free(tx, a); _, e := Get(tx, a); return errors.Join(err, e) }},
	} {
		if err := p.Update(ctx, one.do); !errors.Is(err, one.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	view(t, p, func(tx *Tx) error { // nothing of it has happened
		n, err1 := Get(tx, a)
		m, err2 := Borrow(tx, fixed)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if n.Value != 7 || m.Value != 8 {
			t.Errorf("%d, %d", n.Value, m.Value)
		}
		return nil
	})
}
