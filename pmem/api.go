package pmem

import "reflect"

// typed is what a transaction knows of a type in its pool.
type typed struct {
	rtype reflect.Type
	*layout
	id uint32
}

// typeFor finds a type in the pool. A pool that does not know it has no object of it.
func (tx *Tx) typeFor(t reflect.Type) (typed, error) {
	if tx.kind.rtype == t {
		return tx.kind, nil
	}
	k, err := tx.p.types.find(t)
	if err == nil {
		tx.kind = k
	}
	return k, err
}

// Get returns a copy of an object. It is one that was there as a whole, with the changes of
// this transaction, and its CRCs are right.
func Get[T any](tx *Tx, r Ref[T]) (v T, err error) {
	if err := tx.usable(); err != nil {
		return v, err
	}
	k, err := tx.typeFor(reflect.TypeFor[T]())
	if err != nil {
		return v, err
	}
	w := k.want()
	if err := tx.get(r.word, &w, 0, bytesOf(&v)); err != nil {
		var none T
		return none, err
	}
	return v, nil
}

// Set changes an object when the transaction commits. Until then this transaction alone sees it.
func Set[T any](tx *Tx, r Ref[T], v T) error {
	if err := tx.writable(); err != nil {
		return err
	}
	k, err := tx.typeFor(reflect.TypeFor[T]())
	if err != nil {
		return err
	}
	w := k.want()
	return tx.set(r.word, &w, 0, tx.plain(k.layout, bytesOf(&v)))
}

// plain returns the bytes of a value with zeros where there is padding, which may be anything.
func (tx *Tx) plain(l *layout, b []byte) []byte {
	if len(l.data) == 1 && l.data[0] == [2]int64{0, l.size} {
		return b
	}
	if int64(cap(tx.scratch)) < l.size {
		tx.scratch = make([]byte, l.size)
	}
	p := tx.scratch[:l.size]
	clear(p)
	for _, r := range l.data {
		copy(p[r[0]:r[1]], b[r[0]:r[1]])
	}
	return p
}

// Alloc makes an object. It is there when the transaction commits, and only then.
func Alloc[T any](tx *Tx, v T) (Ref[T], error) { return alloc(tx, v, 0) }

// AllocImmutable makes an object that never changes until it is freed. It can be borrowed.
func AllocImmutable[T any](tx *Tx, v T) (Ref[T], error) { return alloc(tx, v, flagImmutable) }

func alloc[T any](tx *Tx, v T, flags uint8) (Ref[T], error) {
	if err := tx.writable(); err != nil {
		return Ref[T]{}, err
	}
	k, err := tx.typeToWrite(reflect.TypeFor[T]())
	if err != nil {
		return Ref[T]{}, err
	}
	off, incarnation, err := tx.alloc(k.id, flags, tx.plain(k.layout, bytesOf(&v)))
	return newRef[T](off, incarnation), err
}

// typeToWrite is typeFor, for a type that the pool may have to learn first.
func (tx *Tx) typeToWrite(t reflect.Type) (typed, error) {
	if tx.kind.rtype == t {
		return tx.kind, nil
	}
	k, err := tx.p.types.learn(tx.p, t)
	if err == nil {
		tx.kind = k
	}
	return k, err
}

// Free frees an object when the transaction commits. References to it are stale then. It needs
// no space in the pool, so that one that is full can be emptied.
func Free[T any](tx *Tx, r Ref[T]) error {
	if err := tx.writable(); err != nil {
		return err
	}
	w, err := tx.wantFor(reflect.TypeFor[T]())
	if err != nil {
		return err
	}
	return tx.free(r.word, &w)
}

// wantFor returns what is expected of an object of a type, which may be [Bytes].
func (tx *Tx) wantFor(t reflect.Type) (want, error) {
	if t == bytesType {
		return wantBytes(), nil
	}
	k, err := tx.typeFor(t)
	if err != nil {
		return want{}, err
	}
	return k.want(), nil
}

// Borrow lends an object that was declared immutable, without a copy. It is valid until the function
// of the transaction returns, and it is read-only: a store to it faults.
func Borrow[T any](tx *Tx, r Ref[T]) (*T, error) {
	if err := tx.usable(); err != nil {
		return nil, err
	}
	k, err := tx.typeFor(reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	w := k.want()
	w.lend = true
	b, err := tx.borrow(r.word, &w)
	if err != nil {
		return nil, err
	}
	return valueAt[T](b), nil
}
