package pmem

import (
	"bytes"
	"encoding/binary"
	"sync"
	"testing"

	"github.com/safevma/safevma/pmem/medium"
)

var fuzzWorld = sync.OnceValue(func() *world { return newWorld(new(testing.T)) })

// exercise reads, changes, allocates and frees in a pool of which anything may be wrong. Errors
// are expected, and nothing else.
func (w *world) exercise(p *Pool) {
	c := w.last()[1]
	for _, o := range append(c.live, c.freed...) {
		look(p, &o)
		p.View(ctx, func(tx *Tx) error { _, _, err := tx.findRoot(o.root); return err })
	}
	var made []item
	for i, n := range []int{20, 100, 1000, 1500, 5000, 20} {
		p.Update(ctx, func(tx *Tx) error {
			r, err := AllocBytes(tx, pattern(i, n))
			made = append(made, bytesItem("", r, nil))
			return err
		})
		p.Update(ctx, func(tx *Tx) error { _, err := Alloc(tx, wide{Key: uint64(n)}); return err })
	}
	for _, o := range append(made, c.live...) {
		p.Update(ctx, func(tx *Tx) error { return SetBytes(tx, Ref[Bytes]{o.ref}, o.size/2, []byte("x")) })
		p.Update(ctx, o.free)
	}
	p.Checkpoint(ctx)
	p.Close()
}

// openAndUse opens an image, twice, and uses what opens.
func openAndUse(image []byte) {
	for range 2 {
		if p, err := openImage(image, medium.DAX, new(injector)); err == nil {
			fuzzWorld().exercise(p)
		}
	}
}

func FuzzSuperblock(f *testing.F) {
	w := fuzzWorld()
	f.Add(w.image[:superSize])
	f.Add(w.image[superB : superB+superSize])
	f.Add(make([]byte, superSize))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := make([]byte, superSize)
		copy(b, data)
		decodeSuperblock(0, b)
		copy(b, magic)
		le.PutUint32(b[8:], FormatVersion)
		le.PutUint32(b[superSize-4:], checksum(b[:superSize-4]))
		s, err := decodeSuperblock(0, b)
		if (s == nil) == (err == nil) {
			t.Fatalf("%+v, %v", s, err)
		}
		if s == nil {
			return
		}
		g := newGeometry(s.size, s.log, s.extent, s.span)
		if g.heap < logOffset+g.log || g.spans < 2 || g.spanOffset(g.spans-1)+g.span > g.size || (g.spans+g.zoneMask)/(g.zoneMask+1) > mostZones+1 {
			t.Errorf("%+v", g)
		}
		again, err := decodeSuperblock(0, s.encode())
		if err != nil || *again != *s {
			t.Errorf("%+v becomes %+v, %v", s, again, err)
		}
		image := bytes.Clone(w.image)
		copy(image, b)
		clear(image[superB : superB+superSize])
		openAndUse(image)
	})
}

// FuzzLog makes a log of arbitrary bytes.
func FuzzLog(f *testing.F) {
	w := fuzzWorld()
	f.Add(w.image[logOffset:hostileHeap])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, log []byte) {
		image := bytes.Clone(w.image)
		copy(image[logOffset:hostileHeap], log)
		openAndUse(image)
	})
}

// FuzzRecord makes a valid record of an arbitrary body the only one of a log.
func FuzzRecord(f *testing.F) {
	w := fuzzWorld()
	f.Add(appendRun(nil, rootsOffset, make([]byte, 64)))
	f.Add(appendRun(nil, hostileHeap, make([]byte, 512)))
	f.Add(appendRun(nil, hostileSize-8, make([]byte, 8)))
	f.Add(appendRun(nil, hostileSize, make([]byte, 8)))
	f.Add(le.AppendUint64(le.AppendUint64(nil, runHeader(runSet, hostileHeap+spanEntrySize+spanBitmap, word)), 1<<63))
	f.Add(le.AppendUint64(nil, 1<<64-1))
	f.Fuzz(func(t *testing.T, body []byte) {
		image := bytes.Clone(w.image)
		p, err := openImage(image, medium.DAX, new(injector))
		if err != nil {
			t.Fatal(err)
		}
		body = body[:len(body)&^7]
		record := append(make([]byte, headerSize), body...)
		if int64(len(body)) > p.most(true) {
			return
		}
		parts := p.build(record, updateCRC(0, body), p.head, nil)
		p.parts = parts
		if err := p.writeParts(p.head.at); err != nil {
			t.Fatal(err)
		}
		openAndUse(image)
	})
}

func FuzzDescriptor(f *testing.F) {
	g := newGeometry(hostileSize, 4096, 1024, 8192)
	for _, d := range []descriptor{{}, {class: 1, used: true}, {class: classHead, used: true, run: 3}, {class: classRest, used: true, run: 1}} {
		f.Add(int64(1), d.encode(1))
	}
	f.Fuzz(func(t *testing.T, span int64, data []byte) {
		if span < 1 || span >= g.spans {
			return
		}
		b := make([]byte, descriptorSize)
		copy(b, data)
		g.decodeDescriptor(span, b)
		clear(b[8:])
		le.PutUint32(b[8:], descriptorCRC(span, le.Uint64(b)))
		d, err := g.decodeDescriptor(span, b)
		if err != nil {
			return
		}
		s := g.newSpan(span, d)
		if err := s.fill(func(int64) (uint64, error) { return le.Uint64(b), nil }); err != nil {
			t.Fatal(err)
		}
		for rel := int64(0); rel < g.span; rel += 8 {
			if slot, ok := s.slotAt(rel); ok && g.spanOffset(span)+rel+s.room(&g) > g.size {
				t.Errorf("%+v: slot %d ends behind the pool", d, slot)
			}
		}
	})
}

// FuzzObject puts arbitrary bytes where an object is, whose header has the right checksum.
func FuzzObject(f *testing.F) {
	w := fuzzWorld()
	for _, o := range w.now.live {
		off := Ref[Bytes]{o.ref}.Offset()
		f.Add(uint8(len(o.name)), w.image[off:off+min(spaceOf(o.size), 300)])
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		image := bytes.Clone(w.image)
		off := Ref[Bytes]{w.now.live[int(which)%len(w.now.live)].ref}.Offset()
		copy(image[off:], data)
		if h := decodeHeader(image[off:]); spaceOf(int64(h.size)) <= hostileSize-off {
			end := off + objectHeader
			if h.state != stateFree {
				end += 4 * blocksOf(int64(h.size))
			}
			le.PutUint32(image[end:], headCRC(off, image[off:end]))
		}
		openAndUse(image)
	})
}

func FuzzParseType(f *testing.F) {
	for _, e := range []string{"", "type", "type \"a\" 8\nfield \"\" struct 0 8 0 \"\"\n", "type \"a\" 99999999999", "type \"a\" 8\nfield \"b\" uint64 4294967295 4294967295 0 \"\""} {
		f.Add([]byte(e))
	}
	l, err := layoutOf(wideType)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(l.text())
	f.Fuzz(func(t *testing.T, text []byte) {
		info, err := ParseType(text)
		if (info == nil) == (err == nil) {
			t.Fatalf("%+v, %v", info, err)
		}
		if err == nil {
			info.difference(l)
		}
	})
}

// FuzzImage changes an image at arbitrary places: a patch is an offset, a length, and bytes.
func FuzzImage(f *testing.F) {
	w := fuzzWorld()
	for _, off := range []uint32{0, superB, superA + tailOffset, rootsOffset, typesOffset, logOffset, hostileHeap, hostileHeap + spanEntrySize, 40960} {
		f.Add(append(binary.LittleEndian.AppendUint32(nil, off), 4, 1, 2, 3, 4))
	}
	f.Fuzz(func(t *testing.T, patches []byte) {
		image := bytes.Clone(w.image)
		for len(patches) > 5 {
			off := int(binary.LittleEndian.Uint32(patches)) % len(image)
			n := min(int(patches[4]), len(patches)-5)
			copy(image[off:], patches[5:5+n])
			patches = patches[5+n:]
		}
		openAndUse(image)
	})
}
