package recording

import (
	"encoding/binary"
	"encoding/json"
)

func appendInts(b []byte, list ...int64) []byte {
	for _, n := range list {
		b = binary.AppendVarint(b, n)
	}
	return b
}

func appendUints(b []byte, list ...uint64) []byte {
	for _, n := range list {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

// body is what is left of an entry while it is parsed. After the first error all is 0.
type body struct {
	left []byte
	bad  bool
}

func (b *body) fail() { b.left, b.bad = nil, true }

func (b *body) uint() uint64 {
	n, size := binary.Uvarint(b.left)
	if size <= 0 {
		b.fail()
		return 0
	}
	b.left = b.left[size:]
	return n
}

func (b *body) int() int64 {
	n, size := binary.Varint(b.left)
	if size <= 0 {
		b.fail()
		return 0
	}
	b.left = b.left[size:]
	return n
}

func (b *body) uints(to ...*uint64) {
	for _, n := range to {
		*n = b.uint()
	}
}

func (b *body) ints(to ...*int64) {
	for _, n := range to {
		*n = b.int()
	}
}

func (b *body) json(v any) {
	if err := json.Unmarshal(b.left, v); err != nil {
		b.bad = true
	}
	b.left = nil
}
