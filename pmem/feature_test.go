package pmem

import (
	"bytes"
	"errors"
	"testing"

	"github.com/safevma/safevma/pmem/medium"
)

// changeSuperblocks changes both superblocks of an image, or one, and makes their checksums right.
func changeSuperblocks(image []byte, where []int64, change func(b []byte)) []byte {
	image = bytes.Clone(image)
	for _, off := range where {
		b := image[off : off+superSize]
		change(b)
		le.PutUint32(b[superSize-4:], checksum(b[:superSize-4]))
	}
	return image
}

// A feature of the future that a reader must know closes the pool to this version; one that a writer
// must know leaves it to be read.
func TestFeaturesThatMustBeKnown(t *testing.T) {
	image := newFormatWorld(t).image
	for _, where := range [][]int64{{superA}, {superB}, {superA, superB}} {
		for word, readable := range map[int]bool{16: false, 24: true} {
			for bit := range 64 {
				with := changeSuperblocks(image, where, func(b []byte) { le.PutUint64(b[word:], 1<<bit) })
				before := bytes.Clone(with)
				m := mustRecord(t, with)
				if _, err := OpenOn(m, Options{}); !errors.Is(err, ErrFormat) {
					t.Errorf("byte %d, bit %d, of %v: opened to be written: %v", word, bit, where, err)
				}
				r, err := NewReader(m)
				if readable && err != nil || !readable && !errors.Is(err, ErrFormat) {
					t.Errorf("byte %d, bit %d, of %v: opened to be read: %v", word, bit, where, err)
				}
				if readable && err == nil && r.Log().Records != 3 {
					t.Errorf("byte %d, bit %d, of %v: %+v is read of the log", word, bit, where, r.Log())
				}
				if !bytes.Equal(with, before) {
					t.Fatalf("byte %d, bit %d, of %v: the pool was changed", word, bit, where)
				}
			}
		}
	}
}

// What nobody must know, and what is reserved, stays when the pool is opened, written and opened
// again: it may be what a later version goes by.
func TestFeaturesAreKept(t *testing.T) {
	change := func(b []byte) {
		le.PutUint64(b[32:], 1<<63|5)
		for i := superReserved; i < superSize-4; i++ {
			b[i] = byte(i)
		}
	}
	image := changeSuperblocks(newFormatWorld(t).image, []int64{superA, superB}, change)
	want := make([]byte, superSize)
	change(want)
	for range 3 {
		p, err := OpenOn(mustRecord(t, image), Options{})
		if err != nil {
			t.Fatal(err)
		}
		update(t, p, func(tx *Tx) error { _, err := Alloc(tx, formatNode{}); return err })
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		for _, off := range []int64{superA, superB} {
			if b := image[off : off+superSize-4]; !bytes.Equal(b[32:40], want[32:40]) || !bytes.Equal(b[superReserved:], want[superReserved:superSize-4]) {
				t.Errorf("the superblock at %d: features %x, reserved %x", off, b[32:40], b[superReserved:])
			}
		}
	}
	for _, s := range ReadSuperblocks(mustRecord(t, image)) {
		if s.Compatible != 1<<63|5 || s.Writers != 0 || !s.Reserved || s.Err != nil {
			t.Errorf("%+v", s)
		}
	}
}

func mustRecord(t *testing.T, image []byte) *medium.Medium {
	t.Helper()
	m, err := medium.Record(image, medium.Emulation{Kind: medium.DAX}, new(injector))
	if err != nil {
		t.Fatal(err)
	}
	return m
}
