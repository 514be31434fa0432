package pmem

import "reflect"

// Bytes is the type of objects that hold bytes, as many as they were made with. It is used in
// references alone.
type Bytes struct{ _ byte }

var bytesType = reflect.TypeFor[Bytes]()

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
func Len(tx *Tx, r Ref[Bytes]) (int64, error) {
	if err := tx.usable(); err != nil {
		return 0, err
	}
	w := wantBytes()
	h, err := tx.headerOf(r.word, &w)
	return int64(h.size), err
}

// AppendBytes appends the bytes of an object to dst.
func AppendBytes(tx *Tx, r Ref[Bytes], dst []byte) ([]byte, error) {
	n, err := Len(tx, r)
	if err != nil {
		return dst, err
	}
	all := append(dst, make([]byte, n)...)
	if err := ReadBytes(tx, r, 0, all[len(dst):]); err != nil {
		return dst, err
	}
	return all, nil
}

// ReadBytes copies bytes of an object, from an offset on, into p. Bytes that it does not have are
// an error.
func ReadBytes(tx *Tx, r Ref[Bytes], off int64, p []byte) error {
	if err := tx.usable(); err != nil {
		return err
	}
	w := wantBytes()
	w.ranged, w.from, w.length = true, off, int64(len(p))
	return tx.get(r.word, &w, off, p)
}

// SetBytes changes bytes of an object, from an offset on. An object keeps its length.
func SetBytes(tx *Tx, r Ref[Bytes], off int64, b []byte) error {
	if err := tx.writable(); err != nil {
		return err
	}
	w := wantBytes()
	w.ranged, w.from, w.length = true, off, int64(len(b))
	return tx.set(r.word, &w, off, b)
}

// BorrowBytes lends the bytes of an object that was declared immutable: see [Borrow].
func BorrowBytes(tx *Tx, r Ref[Bytes]) ([]byte, error) {
	if err := tx.usable(); err != nil {
		return nil, err
	}
	w := wantBytes()
	w.lend = true
	return tx.borrow(r.word, &w)
}
