package pmem

import (
	"errors"
	"fmt"
	"reflect"
)

// rootEntry is an entry of the table of roots. They are filled in order, and keep their names. The
// one behind the last has no reference and no name, and is valid all the same: zeros are damage.
//
//	 0  u64 reference, 0: none
//	 8  u32 type
//	12  u8 length of the name, 3 bytes reserved: 0
//	16  name, up to 40 bytes
//	56  u32 reserved: 0
//	60  u32 checksum of the offset of the entry in the pool (u32) and all before it
type rootEntry struct {
	ref  uint64
	typ  uint32
	name string
}

// mostRootName is how long the name of a root may be, in bytes.
const mostRootName = 40

func rootPlace(i int) int64 { return rootsOffset + int64(i)*rootSize }

func (e rootEntry) encode(i int) []byte {
	b := make([]byte, rootSize)
	le.PutUint64(b, e.ref)
	le.PutUint32(b[8:], e.typ)
	b[12] = uint8(len(e.name))
	copy(b[16:], e.name)
	le.PutUint32(b[60:], entryChecksum(rootPlace(i), b[:60]))
	return b
}

// decodeRoot reports whether there is an entry, or this is the end.
func decodeRoot(i int, b []byte) (e rootEntry, ok bool, err error) {
	if le.Uint32(b[60:]) != entryChecksum(rootPlace(i), b[:60]) || b[12] > mostRootName {
		return e, false, damaged(rootPlace(i), "the CRC of entry %d of the table of roots is wrong", i)
	}
	return rootEntry{le.Uint64(b), le.Uint32(b[8:]), string(b[16 : 16+b[12]])}, b[12] > 0, nil
}

// Root returns what a name refers to, or the nil reference if there is no such root. A root of
// another type is an ErrType.
func Root[T any](tx *Tx, name string) (Ref[T], error) {
	if err := tx.usable(); err != nil {
		return Ref[T]{}, err
	}
	_, e, err := tx.findRoot(name)
	if err != nil || e.ref == 0 {
		return Ref[T]{}, err
	}
	id, err := tx.typeID(reflect.TypeFor[T](), false)
	if err == nil && id != e.typ {
		err = fmt.Errorf("%w: root %q has type %d", ErrType, name, e.typ)
	}
	return Ref[T]{e.ref}, err
}

// SetRoot makes a name refer to an object. What no root reaches is a leak. A name has at most 40
// bytes, and stays in the pool; there are at most 64.
func SetRoot[T any](tx *Tx, name string, r Ref[T]) error {
	if err := tx.writable(); err != nil {
		return err
	}
	if name == "" || len(name) > mostRootName {
		return fmt.Errorf("the name of a root: %q has %d bytes, and not 1 to %d", name, len(name), mostRootName)
	}
	id, err := tx.typeID(reflect.TypeFor[T](), true)
	if err != nil {
		return err
	}
	i, e, err := tx.findRoot(name)
	switch {
	case err != nil:
		return err
	case i == roots:
		return fmt.Errorf("%w: a pool has %d roots at most", ErrFull, roots)
	case e.ref != 0 && e.typ != id:
		return fmt.Errorf("%w: root %q has type %d", ErrType, name, e.typ)
	}
	tx.putEntry(rootPlace(i), rootEntry{r.word, id, name}.encode(i))
	if e.name == "" && i+1 < roots {
		tx.putEntry(rootPlace(i+1), rootEntry{}.encode(i+1))
	}
	return nil
}

// typeID returns the number of a type in the pool.
func (tx *Tx) typeID(t reflect.Type, learn bool) (uint32, error) {
	if t == bytesType {
		return typeBytes, nil
	}
	find := tx.typeFor
	if learn {
		find = tx.typeToWrite
	}
	k, err := find(t)
	return k.id, err
}

// findRoot returns the entry of a name, or the first one that is free. Where one is damaged, those
// behind it are found all the same; but what is not found may be that one.
func (tx *Tx) findRoot(name string) (int, rootEntry, error) {
	var bad error
	for i := range roots {
		e, ok, err := tx.readRoot(i)
		switch {
		case tx.conflict:
			return 0, rootEntry{}, err
		case err != nil:
			bad = errors.Join(bad, err)
		case !ok:
			return i, rootEntry{}, bad
		case e.name == name:
			return i, e, nil
		}
	}
	return roots, rootEntry{}, bad
}

func (tx *Tx) readRoot(i int) (rootEntry, bool, error) {
	var b [rootSize]byte
	if err := tx.getEntry(rootPlace(i), b[:]); err != nil {
		return rootEntry{}, false, err
	}
	return decodeRoot(i, b[:])
}
