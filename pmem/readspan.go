package pmem

import "fmt"

// SpanKind says what a span holds.
type SpanKind uint8

const (
	// SpanNone has nothing in it.
	SpanNone SpanKind = iota
	// SpanTable holds the table of the spans of its zone.
	SpanTable
	// SpanSlots holds objects in slots of one size.
	SpanSlots
	// SpanBig begins with a big object.
	SpanBig
	// SpanRest holds more of a big object.
	SpanRest
)

var spanKinds = [...]string{"none", "table", "slots", "big", "rest"}

func (k SpanKind) String() string { return spanKinds[min(int(k), len(spanKinds)-1)] }

// Span is what the table of its zone says of a span.
type Span struct {
	Index    int64
	Off      int64 // where it begins
	Entry    int64 // where its entry in the table is
	Kind     SpanKind
	Used     bool   // it has had a class
	Base     uint16 // no incarnation in it was higher when it got its class
	Run      int64  // spans of a big object, in its first; number of the span in it, in the others
	SlotSize int64  // in bytes, 0 where it has no slots
	Slots    int64
	Reserved bool // bytes that are reserved are not 0
	Stray    bool // bits are set that are of no slot
	taken    [(spanEntrySize - spanBitmap) / word]uint64
}

// Taken reports whether the bitmap says that a slot has an object.
func (s *Span) Taken(slot int64) bool { return s.taken[slot/64]>>(slot%64)&1 != 0 }

// Spans returns how many spans the heap has, with those that hold tables.
func (r *Reader) Spans() int64 { return r.spans }

// SpanSize returns the size of a span in bytes.
func (r *Reader) SpanSize() int64 { return r.span }

// Span reads what is known of a span. It is an [ErrDamage] if its descriptor is not valid.
func (r *Reader) Span(i int64) (Span, error) {
	s := Span{Index: i}
	if i < 0 || i >= r.spans {
		return s, fmt.Errorf("%w: span %d", ErrReference, i)
	}
	s.Off, s.Entry = r.spanOffset(i), r.entryOffset(i)
	b, err := r.borrow(s.Entry, spanEntrySize)
	if err != nil {
		return s, err
	}
	if r.isTable(i) {
		s.Kind = SpanTable
		s.Reserved = !isZero(b)
		return s, nil
	}
	d, err := r.decodeDescriptor(i, b)
	if err != nil {
		return s, err
	}
	s.fill(&r.geometry, d, b)
	return s, nil
}

// fill puts in what a descriptor and the bitmap behind it say.
func (s *Span) fill(g *geometry, d descriptor, b []byte) {
	s.Used, s.Base, s.Run = d.used, d.base, int64(d.run)
	s.Reserved = !isZero(b[descriptorSize:spanBitmap])
	switch d.class {
	case classNone:
	case classHead:
		s.Kind = SpanBig
	case classRest:
		s.Kind = SpanRest
	default:
		s.Kind, s.SlotSize = SpanSlots, classes[d.class]
		s.Slots = g.span / s.SlotSize
	}
	if s.Kind != SpanBig && s.Kind != SpanRest && s.Run != 0 {
		s.Reserved = true
	}
	for i := range s.taken {
		s.taken[i] = le.Uint64(b[spanBitmap+i*word:])
		valid := ^uint64(0)
		if n := s.Slots - int64(i)*64; n < 64 {
			valid = 1<<max(n, 0) - 1
		}
		s.Stray = s.Stray || s.taken[i]&^valid != 0
	}
}

// Address is where an object is, and which of those that were there: what a [Ref] holds.
type Address struct {
	Off         int64
	Incarnation uint16
}

// AddressOf takes apart the word that a reference is in an object.
func AddressOf(word uint64) Address {
	return Address{int64(word & (1<<offsetBits - 1)), uint16(word >> offsetBits)}
}

// IsNil reports whether it is of nothing.
func (a Address) IsNil() bool { return a == Address{} }

// String is the offset and the incarnation, as of a [Ref]: "4096.2".
func (a Address) String() string {
	if a.IsNil() {
		return "nil"
	}
	return fmt.Sprintf("%d.%d", a.Off, a.Incarnation)
}

// Types of objects that every pool has.
const (
	// TypeBytes is the type of [Bytes].
	TypeBytes = typeBytes
	// TypeDescriptor is the type of objects that say how other types look.
	TypeDescriptor = typeDescriptor
)

// Object is what stands at the begin of a slot, or of the spans of a big object.
type Object struct {
	Address
	Room      int64 // that it has, in bytes
	Used      bool  // something was there before
	Live      bool  // else the slot is free
	Immutable bool
	Type      uint32
	Label     uint32
	Size      int64 // in bytes
	Fits      bool  // into its room
	Reserved  bool  // bytes or bits that are reserved are not 0
	Err       error // what is wrong with its header
}

// Slot reads the header of what is in a slot. The error is that of the medium; what is wrong with
// the header is Err of the object. Of a slot that is free nothing else is read.
func (r *Reader) Slot(s *Span, slot int64) (Object, error) {
	if slot < 0 || slot >= s.Slots {
		return Object{}, fmt.Errorf("%w: slot %d of span %d", ErrReference, slot, s.Index)
	}
	return r.object(s.Off+slot*s.SlotSize, s.SlotSize)
}

// Big reads the header of a big object, in the first of its spans.
func (r *Reader) Big(s *Span) (Object, error) {
	if s.Kind != SpanBig {
		return Object{}, fmt.Errorf("%w: span %d", ErrReference, s.Index)
	}
	return r.object(s.Off, s.Run*r.span)
}

func (r *Reader) object(off, room int64) (Object, error) {
	o := Object{Address: Address{Off: off}, Room: room, Fits: true}
	b, err := r.borrow(off, freeHeader)
	if err != nil {
		return o, err
	}
	h := decodeHeader(b)
	o.Used, o.Live, o.Incarnation = !isZero(b), h.state == stateLive, h.incarnation
	o.Immutable, o.Type, o.Label, o.Size = h.flags&flagImmutable != 0, h.typ, h.label, int64(h.size)
	switch h.state {
	case stateLive:
		o.Fits = spaceOf(o.Size) <= room
		o.Reserved = h.flags&^flagImmutable != 0 || h.label != 0
		return o, r.checkLive(&o, b)
	case stateFree:
		_, o.Err = freeIncarnation(off, b)
		o.Reserved = h.flags != 0 || h.typ != 0 || h.label != 0 || h.size != 0 || !isZero(b[objectHeader+4:])
	default:
		o.Err = damaged(off, "the state of an object is %d", h.state)
	}
	return o, nil
}

// checkLive checks the CRC of the header of a live object, of which the first bytes were read.
func (r *Reader) checkLive(o *Object, b []byte) (err error) {
	start := bytesOffset(o.Size)
	if start > o.Room {
		o.Err = damaged(o.Off, "the header of an object says that it has %d bytes, and there are %d", o.Size, o.Room)
		return nil
	}
	if start > int64(len(b)) {
		if b, err = r.borrow(o.Off, start); err != nil {
			return err
		}
	}
	o.Err = checkHead(o.Off, b[:objectHeader+4*blocksOf(o.Size)+4])
	return nil
}

// Content appends the bytes of a live object to dst. Blocks of 256 bytes whose CRC is wrong are
// there all the same, and named. An object whose header is not valid, or that does not fit, has
// no content.
func (r *Reader) Content(o Object, dst []byte) (content []byte, bad []int64, err error) {
	if !o.Live || o.Err != nil || !o.Fits {
		return dst, nil, damaged(o.Off, "there is no valid object")
	}
	start := bytesOffset(o.Size)
	b, err := r.borrow(o.Off, start+o.Size)
	if err != nil {
		return dst, nil, err
	}
	for i := range blocksOf(o.Size) {
		if checksum(block(b[start:], i)) != le.Uint32(b[objectHeader+4*i:]) {
			bad = append(bad, i)
		}
	}
	return append(dst, b[start:]...), bad, nil
}

// BlockSize is how many bytes of an object are under one CRC.
const BlockSize = blockSize

// BlockOffset returns where in the pool a block of an object begins.
func (o *Object) BlockOffset(i int64) int64 { return o.Off + bytesOffset(o.Size) + i*blockSize }

// Find returns the object that an address is of. It is an [ErrReference] if no object can be there,
// an [ErrStale] if it was freed, and an [ErrDamage] if what is there is not valid.
func (r *Reader) Find(a Address) (Object, error) {
	i, ok := r.SpanAt(a.Off)
	if !ok || r.isTable(i) {
		return Object{}, fmt.Errorf("%w: offset %d", ErrReference, a.Off)
	}
	s, err := r.Span(i)
	if err != nil {
		return Object{}, err
	}
	o, err := r.at(&s, a.Off)
	if err != nil {
		return Object{}, err
	}
	if !o.Live || o.Incarnation != a.Incarnation {
		return o, fmt.Errorf("%w: offset %d has incarnation %d, the reference %d", ErrStale, a.Off, o.Incarnation, a.Incarnation)
	}
	return o, o.Err
}

// At returns the object that begins at an offset, of whatever incarnation. It is an [ErrReference]
// if none can begin there, and an [ErrStale] if the slot is free.
func (r *Reader) At(off int64) (Object, error) {
	i, ok := r.SpanAt(off)
	if !ok || r.isTable(i) {
		return Object{}, fmt.Errorf("%w: offset %d", ErrReference, off)
	}
	s, err := r.Span(i)
	if err != nil {
		return Object{}, err
	}
	o, err := r.at(&s, off)
	if err == nil {
		err = o.Err
	}
	return o, err
}

// at reads the object that begins at an offset in a span.
func (r *Reader) at(s *Span, off int64) (Object, error) {
	rel := off - s.Off
	switch {
	case s.Kind == SpanBig && rel == 0:
		return r.Big(s)
	case s.Kind == SpanSlots && rel%s.SlotSize == 0 && rel/s.SlotSize < s.Slots && s.Taken(rel/s.SlotSize):
		return r.Slot(s, rel/s.SlotSize)
	}
	return Object{}, fmt.Errorf("%w: nothing begins at offset %d", ErrStale, off)
}
