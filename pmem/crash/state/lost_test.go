package state

import (
	"slices"
	"testing"
)

// What became durable stays so: a store of a failed sync, of which a part was stored again and
// synced, does not undo that part. What was not stored again may be there or lost.
func TestLostUnderDurable(t *testing.T) {
	s, err := New(sector, make([]byte, 512))
	if err != nil {
		t.Fatal(err)
	}
	sync := func(id int, end Kind) []Event {
		return []Event{{Kind: SyncBegin, ID: id, Len: 512}, {Kind: end, ID: id}}
	}
	apply(t, s, store(0, 1), store(8, 1))
	apply(t, s, sync(1, SyncFail)...)
	apply(t, s, Event{Kind: Store, Off: 4, Data: []byte{2, 2, 2, 2, 2, 2, 2, 2}}) // half of both words
	apply(t, s, sync(2, SyncEnd)...)
	want := map[string]bool{
		string([]byte{0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2, 0, 0, 0, 0}): true,
		string([]byte{1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 0, 0, 0, 0}): true,
		string([]byte{1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1}): true,
	}
	all := images(s)
	slices.Sort(all)
	for _, image := range all {
		if !want[image[:16]] {
			t.Errorf("%x is legal, though bytes 4 to 12 are durable", image[:16])
		}
	}
	if len(all) != len(want) {
		t.Errorf("%d images, want %d", len(all), len(want))
	}
}

// What one sync lost and what a later one lost: an earlier loss is not forgotten.
func TestLostTwice(t *testing.T) {
	s, err := New(sector, make([]byte, 512))
	if err != nil {
		t.Fatal(err)
	}
	for id := range 2 {
		apply(t, s, store(int64(id)*8, 1), Event{Kind: SyncBegin, ID: id, Len: 512}, Event{Kind: SyncFail, ID: id})
	}
	if n := s.Images().Int64(); n != 3 {
		t.Errorf("%d images, want 3: a prefix of two stores", n)
	}
}

// A sync covers the units of its range and no others.
func TestCovers(t *testing.T) {
	for _, model := range []Model{sector, torn} {
		s, err := New(model, make([]byte, 2048))
		if err != nil {
			t.Fatal(err)
		}
		apply(t, s, store(0, 1), store(512, 1), store(1024, 1), store(1536, 1),
			Event{Kind: SyncBegin, ID: 1, Off: 1000, Len: 40}, Event{Kind: SyncEnd, ID: 1})
		if b := s.Base(); b[0] != 0 || b[512] != 1 || b[1024] != 1 || b[1536] != 0 {
			t.Errorf("%v: %d %d %d %d durable", model, b[0], b[512], b[1024], b[1536])
		}
	}
}

// Each attribute has a sync of its own, though they are near each other.
func TestAttributes(t *testing.T) {
	for _, model := range []Model{adr, eadr, sector, torn} {
		for _, off := range []int64{0, 8} {
			s, err := New(model, make([]byte, 1024))
			if err != nil {
				t.Fatal(err)
			}
			apply(t, s, Event{Kind: Attribute, Off: 512, Data: word(1)}, Event{Kind: Attribute, Off: 520, Data: word(1)},
				Event{Kind: SyncBegin, ID: 1, Off: 512 + off, Len: 8}, Event{Kind: SyncEnd, ID: 1})
			if b := s.Base(); b[512+off] != 1 || b[520-off] != 0 {
				t.Errorf("%v: a sync of the word at %d makes %v durable", model, off, b[512:528])
			}
			if n := s.Images().Int64(); n != 2 {
				t.Errorf("%v: %d images, want 2", model, n)
			}
		}
	}
}
