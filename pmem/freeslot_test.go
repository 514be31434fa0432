package pmem

import (
	"bytes"
	"errors"
	"testing"
)

// The header of a free slot says which references are stale. Where one bit of it is wrong the slot
// is not used, and none of those that were there is right again.
func TestDamagedFreeSlot(t *testing.T) {
	image := make([]byte, 16*8192)
	p, err := openSlow(image, &injector{}, CreateOn)
	if err != nil {
		t.Fatal(err)
	}
	var old []Ref[node]
	for i := range 6 {
		update(t, p, func(tx *Tx) error {
			r, err := Alloc(tx, node{Value: uint64(i)})
			old = append(old, r)
			return err
		})
		update(t, p, func(tx *Tx) error { return Free(tx, old[i]) })
	}
	slot := old[0].Offset()
	for _, r := range old {
		if r.Offset() != slot {
			t.Fatalf("not the same slot: %v", old)
		}
	}
	if err := p.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * (objectHeader + 4) {
		damaged := bytes.Clone(image)
		damaged[slot+int64(bit/8)] ^= 1 << (bit % 8)
		p, err := openSlow(damaged, &injector{}, OpenOn)
		if err != nil {
			t.Fatal(err)
		}
		var r Ref[node]
		update(t, p, func(tx *Tx) (err error) { r, err = Alloc(tx, node{}); return err })
		if r.Offset() == slot {
			t.Errorf("byte %d, bit %d: the slot is used again", bit/8, bit%8)
		}
		for i, r := range old {
			if _, err := valueOf(p, r); !errors.Is(err, ErrStale) && !errors.Is(err, ErrDamage) {
				t.Errorf("byte %d, bit %d: reference %d is right again: %v", bit/8, bit%8, i, err)
			}
		}
	}
}
