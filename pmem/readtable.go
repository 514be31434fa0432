package pmem

import "fmt"

// StoredRoot is an entry of the table of roots.
type StoredRoot struct {
	Entry    int64 // where it is, in bytes
	Name     string
	Ref      Address
	Type     uint32
	Reserved bool  // bytes that are reserved are not 0
	Err      error // what is wrong with the entry
}

// Roots reads the table of roots. Behind its end are zeros; what else is there is an entry with an
// error.
func (r *Reader) Roots() (all []StoredRoot, err error) {
	b, err := r.borrow(rootsOffset, roots*rootSize)
	if err != nil {
		return nil, err
	}
	ended := false
	for i := range roots {
		one := b[i*rootSize:][:rootSize]
		if ended && isZero(one) {
			continue
		}
		e, ok, err := decodeRoot(i, one)
		switch {
		case ended:
			err = damaged(rootPlace(i), "entry %d of the table of roots comes after the end", i)
		case !ok && err == nil:
			ended = true
			continue
		case isZero(one): // the end is lost, where nothing follows
			ended = isZero(b[i*rootSize:])
		}
		root := StoredRoot{Entry: rootPlace(i), Err: err}
		if ok {
			root.Name, root.Ref, root.Type = e.name, AddressOf(e.ref), e.typ
			root.Reserved = !isZero(one[13:16]) || !isZero(one[16+len(e.name):60])
		}
		all = append(all, root)
	}
	return all, nil
}

// StoredType is an entry of the table of types.
type StoredType struct {
	ID       uint32 // as objects have it
	Entry    int64  // where it is, in bytes
	Size     int64  // of an object
	Ref      Address
	Reserved bool  // bytes that are reserved are not 0
	Err      error // what is wrong with the entry
	hash     uint64
}

// Types reads the table of types, as [Reader.Roots] does that of roots.
func (r *Reader) Types() (all []StoredType, err error) {
	b, err := r.borrow(typesOffset, types*typeEntrySize)
	if err != nil {
		return nil, err
	}
	ended := false
	for i := range types {
		one := b[i*typeEntrySize:][:typeEntrySize]
		if ended && isZero(one) {
			continue
		}
		e, ok, err := decodeTypeEntry(i, one)
		switch {
		case ended:
			err = damaged(typePlace(i), "entry %d of the table of types comes after the end", i)
		case !ok && err == nil:
			ended = true
			continue
		case isZero(one):
			ended = isZero(b[i*typeEntrySize:])
		}
		t := StoredType{ID: uint32(i + firstType), Entry: typePlace(i), Err: err}
		if ok {
			t.Size, t.Ref, t.hash = int64(e.size), AddressOf(e.ref), e.hash
			t.Reserved = !isZero(one[20:60])
		}
		all = append(all, t)
	}
	return all, nil
}

// Describe reads the descriptor of a type. An address that is of no descriptor is an error of
// [Reader.Find] or an [ErrType].
func (r *Reader) Describe(t StoredType) (*TypeInfo, error) {
	if t.Err != nil {
		return nil, t.Err
	}
	o, err := r.Find(t.Ref)
	if err != nil {
		return nil, err
	}
	if o.Type != typeDescriptor {
		return nil, fmt.Errorf("%w: the object has type %d, a descriptor is type %d", ErrType, o.Type, typeDescriptor)
	}
	text, bad, err := r.Content(o, nil)
	if err != nil {
		return nil, err
	}
	if len(bad) > 0 {
		return nil, damaged(o.BlockOffset(bad[0]), "the CRC of block %d of an object is wrong", bad[0])
	}
	if textHash(text) != t.hash {
		return nil, &DescriptionError{t.Entry, "the descriptor is not that of the entry of the table"}
	}
	info, err := ParseType(text)
	if err != nil {
		return nil, &DescriptionError{o.Off, err.Error()}
	}
	if info.Size != t.Size {
		return nil, &DescriptionError{t.Entry, fmt.Sprintf("the descriptor says %d bytes, and the table %d", info.Size, t.Size)}
	}
	info.ID = t.ID
	return info, nil
}

// DescriptionError is an [ErrDamage]: the descriptor of a type is whole, and says what can't be.
type DescriptionError struct {
	Off  int64
	What string
}

func (e *DescriptionError) Error() string {
	return fmt.Sprintf("damage at offset %d: %s", e.Off, e.What)
}

// Unwrap returns [ErrDamage].
func (e *DescriptionError) Unwrap() error { return ErrDamage }
