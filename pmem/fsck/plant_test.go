package fsck

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"slices"
	"testing"

	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/medium"
)

var le = binary.LittleEndian

// crcOf is the checksum of a pool's format: docs/formats/pool.md.
func crcOf(parts ...[]byte) uint32 { return bits.RotateLeft32(recordCRC(parts...), 17) + 0xa282ead8 }

// recordCRC is the checksum of a record.
func recordCRC(parts ...[]byte) (crc uint32) {
	for _, p := range parts {
		crc = crc32.Update(crc, crc32.MakeTable(crc32.Castagnoli), p)
	}
	return crc
}

// headCRC is the checksum of the header of an object, at its place.
func headCRC(off int64, head []byte) uint32 { return crcOf(head) ^ uint32(off/32) }

// victim is a pool in which something is about to be planted.
type victim struct {
	t testing.TB
	m *medium.Medium
	p *pmem.Pool
	r *pmem.Reader

	first, second int64 // nodes; the first refers to the second, and a root to the first
	text          int64 // bytes, that the first refers to
	big, long     int64 // bytes: in spans of their own; in a slot, of several blocks
	free          int64 // a slot of the size of a node
	fixed         int64 // a table, whose rows hold nothing
}

func newVictim(t testing.TB) *victim {
	v := &victim{t: t}
	v.p, v.m = newPool(t, 64*4096, small)
	update(t, v.p, func(tx *pmem.Tx) error {
		text, err1 := pmem.AllocBytes(tx, []byte("text"))
		big, err2 := pmem.AllocBytes(tx, make([]byte, 9000))
		long, err3 := pmem.AllocBytes(tx, make([]byte, 700))
		second, err4 := pmem.Alloc(tx, node{2, pmem.Ref[node]{}, long})
		first, err5 := pmem.Alloc(tx, node{1, second, text})
		free, err6 := pmem.Alloc(tx, node{})
		fixed, err7 := pmem.Alloc(tx, table{})
		v.first, v.second, v.text, v.big, v.free, v.fixed = first.Offset(), second.Offset(), text.Offset(), big.Offset(), free.Offset(), fixed.Offset()
		v.long = long.Offset()
		return errors.Join(err1, err2, err3, err4, err5, err6, err7, pmem.SetRoot(tx, "list", first), pmem.SetRoot(tx, "big", big),
			pmem.SetRoot(tx, "table", fixed), pmem.SetRoot(tx, "spare", free))
	})
	update(t, v.p, func(tx *pmem.Tx) error {
		r, err := pmem.Root[node](tx, "spare")
		return errors.Join(err, pmem.Free(tx, r), pmem.SetRoot(tx, "spare", pmem.Ref[node]{}))
	})
	v.reader()
	return v
}

func (v *victim) reader() {
	if err := v.p.Checkpoint(ctx); err != nil {
		v.t.Fatal(err)
	}
	var err error
	if v.r, err = pmem.NewReader(v.m); err != nil {
		v.t.Fatal(err)
	}
}

func (v *victim) read(off, n int64) []byte {
	b := make([]byte, n)
	if err := v.m.Read(off, b); err != nil {
		v.t.Fatal(err)
	}
	return b
}

func (v *victim) write(off int64, b []byte) {
	from := off &^ 7
	whole := v.read(from, (off+int64(len(b))+7)&^7-from)
	copy(whole[off-from:], b)
	if err := v.m.Write(from, whole, medium.Unclassed); err != nil {
		v.t.Fatal(err)
	}
}

func (v *victim) flip(off int64) { v.write(off, []byte{v.read(off, 1)[0] ^ 0x10}) }

// entry changes an entry of a table, or a superblock, and makes its CRC right.
func (v *victim) entry(off, n int64, number uint32, change func(b []byte)) {
	b := v.read(off, n)
	change(b)
	crc := crcOf(b[:n-4])
	if number > 0 {
		crc = crcOf(le.AppendUint32(nil, uint32(off)), b[:n-4])
	}
	le.PutUint32(b[n-4:], crc)
	v.write(off, b)
}

// object changes an object, header and bytes, and makes its CRCs right.
func (v *victim) object(off int64, change func(header, content []byte)) {
	o, err := v.r.At(off)
	if err != nil {
		v.t.Fatal(err)
	}
	blocks := (o.Size + 255) / 256
	start := (16 + 4*blocks + 4 + 7) &^ 7
	b := v.read(off, start+o.Size)
	change(b[:16], b[start:])
	for i := range blocks {
		le.PutUint32(b[16+4*i:], crcOf(b[start+256*i:min(start+256*(i+1), start+o.Size)]))
	}
	le.PutUint32(b[16+4*blocks:], headCRC(off, b[:16+4*blocks]))
	v.write(off, b)
}

// freeSlot changes the header of a free slot, and makes its CRC right.
func (v *victim) freeSlot(off int64, change func(b []byte)) {
	b := v.read(off, 24)
	change(b)
	le.PutUint32(b[16:], headCRC(off, b[:16]))
	v.write(off, b)
}

func (v *victim) span(off int64) pmem.Span {
	i, ok := v.r.SpanAt(off)
	if !ok {
		v.t.Fatal("no span at", off)
	}
	s, err := v.r.Span(i)
	if err != nil {
		v.t.Fatal(err)
	}
	return s
}

// descriptor changes that of a span, and makes its CRC right.
func (v *victim) descriptor(i int64, change func(b []byte)) {
	s, err := v.r.Span(i)
	if err != nil {
		v.t.Fatal(err)
	}
	b := v.read(s.Entry, 16)
	change(b)
	le.PutUint32(b[8:], crcOf(le.AppendUint32(nil, uint32(i)), b[:8]))
	v.write(s.Entry, b)
}

// bit flips the bit of a slot in its bitmap.
func (v *victim) bit(off int64) {
	s := v.span(off)
	slot := (off - s.Off) / s.SlotSize
	at := s.Entry + 128 + slot/8
	v.write(at, []byte{v.read(at, 1)[0] ^ 1<<(slot%8)})
}

func (v *victim) root(name string) (entry int64, number uint32) {
	all, err := v.r.Roots()
	if err != nil {
		v.t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(r pmem.StoredRoot) bool { return r.Name == name })
	return all[i].Entry, uint32(i + 1)
}

func (v *victim) setRoot(name string, change func(b []byte)) {
	entry, number := v.root(name)
	v.entry(entry, 64, number, change)
}

func (v *victim) typ(i int) pmem.StoredType {
	all, err := v.r.Types()
	if err != nil {
		v.t.Fatal(err)
	}
	return all[i]
}

// ref changes the reference to the next node in the first one.
func (v *victim) ref(change func(word uint64) uint64) {
	v.object(v.first, func(_, b []byte) { le.PutUint64(b[8:], change(le.Uint64(b[8:]))) })
}

const (
	superA, superB = 0, 4096
	superSize      = 256
	logOffset      = 28672
	tailOffset     = 512
	tailSize       = 32
)

// planted is each kind of damage, and the kinds that the check must name: those alone.
var planted = []struct {
	name  string
	plant func(v *victim)
	kinds string
}{
	{"superblock A", func(v *victim) { v.flip(superA + 60) }, "superblock"},
	{"superblock B", func(v *victim) { v.flip(superB) }, "superblock"},
	{"another pool's superblock", func(v *victim) { v.entry(superA, superSize, 0, func(b []byte) { b[40]++ }) }, "superblock"},
	{"superblocks of one number", func(v *victim) {
		counter := v.read(superB+56, 8)
		v.entry(superA, superSize, 0, func(b []byte) { copy(b[56:], counter) })
	}, "superblock"},
	{"both superblocks", func(v *victim) { v.flip(superA); v.flip(superB + 100) }, "superblock superblock"},
	{"reserved bytes of a superblock", func(v *victim) { v.entry(superB, superSize, 0, func(b []byte) { b[160] = 1 }) }, "reserved"},
	{"a feature that a writer must know", func(v *victim) { v.entry(superA, superSize, 0, func(b []byte) { b[24] = 1 }) }, "reserved"},

	{"tail", func(v *victim) { v.flip(superA + tailOffset + 8) }, "tail"},
	{"reserved bytes of a tail", func(v *victim) { v.entry(superA+tailOffset, tailSize, 0, func(b []byte) { b[24] = 1 }) }, "reserved"},
	{"a tail out of order", func(v *victim) {
		b := v.read(superA+tailOffset, tailSize)
		le.PutUint64(b[8:], le.Uint64(b[8:])-1)
		le.PutUint64(b[16:], le.Uint64(b[16:])+64)
		v.write(superB+tailOffset, b)
		v.entry(superB+tailOffset, tailSize, 0, func([]byte) {})
	}, "tail"},

	{"descriptor of slots", func(v *victim) { v.flip(v.span(v.first).Entry + 2) }, "descriptor"},
	{"descriptor of a big object", func(v *victim) { v.flip(v.span(v.big).Entry + 8) }, "descriptor"},
	{"descriptor of the rest of a big object", func(v *victim) { v.flip(v.span(v.big+4096).Entry + 4) }, "descriptor"},
	{"descriptor of no class that is", func(v *victim) { v.descriptor(v.span(v.first).Index, func(b []byte) { b[0] = 200 }) }, "descriptor"},
	{"descriptor of a run beyond the heap", func(v *victim) { v.descriptor(v.span(v.big).Index, func(b []byte) { le.PutUint32(b[4:], 1<<20) }) }, "descriptor"},
	{"reserved bytes of a span's entry", func(v *victim) { v.flip(v.span(v.first).Entry + 100) }, "reserved"},
	{"entry of a table", func(v *victim) { v.flip(v.span(v.first).Entry &^ 4095) }, "reserved"},

	{"taken bit of a free slot", func(v *victim) { v.bit(v.free) }, "bitmap"},
	{"free bit of an object", func(v *victim) { v.bit(v.second) }, "bitmap"},
	{"free bit of a descriptor of a type", func(v *victim) { v.bit(v.typ(0).Ref.Off) }, "bitmap"},
	{"bit of no slot", func(v *victim) { v.flip(v.span(v.first).Entry + 255) }, "bitmap"},
	{"bit in a span without slots", func(v *victim) { v.flip(v.span(v.big).Entry + 130) }, "bitmap"},

	{"incarnation of an object", func(v *victim) { v.flip(v.first) }, "header"},
	{"state of an object", func(v *victim) { v.write(v.second+2, []byte{9}) }, "header"},
	{"object marked free", func(v *victim) { v.write(v.second+2, []byte{0}) }, "header"},
	{"type of an object", func(v *victim) { v.flip(v.text + 4) }, "header"},
	{"size of an object", func(v *victim) { v.flip(v.second + 15) }, "header"},
	{"CRC of a block in the header", func(v *victim) { v.flip(v.long + 20) }, "header"},
	{"header of a big object", func(v *victim) { v.flip(v.big + 5) }, "header"},
	{"header of a descriptor of a type", func(v *victim) { v.flip(v.typ(0).Ref.Off) }, "header"},
	{"header of a free slot", func(v *victim) { v.flip(v.free + 1) }, "header"},
	{"free slot marked live", func(v *victim) { v.flip(v.free); v.write(v.free+2, []byte{1}) }, "header"},
	{"reserved bits of an object", func(v *victim) { v.object(v.first, func(h, _ []byte) { h[3] |= 0x80 }) }, "reserved"},
	{"label of an object", func(v *victim) { v.object(v.first, func(h, _ []byte) { h[8] = 1 }) }, "reserved"},
	{"reserved bytes of a free slot", func(v *victim) { v.freeSlot(v.free, func(b []byte) { b[12] = 1 }) }, "reserved"},

	{"bytes of an object", func(v *victim) { v.flip(v.text + 24) }, "block"},
	{"bytes of an object with references", func(v *victim) { v.flip(v.first + 24) }, "block"},
	{"one block of many", func(v *victim) { v.flip(v.long + 32 + 300) }, "block"},
	{"bytes of a big object", func(v *victim) { v.flip(v.big + 8192); v.flip(v.big + 4096) }, "block block"},
	{"bytes of a descriptor of a type", func(v *victim) { v.flip(v.typ(0).Ref.Off + 40) }, "block"},

	{"object too big for its slot", func(v *victim) {
		b := v.read(v.text, 24)
		le.PutUint32(b[12:], 250)
		le.PutUint32(b[20:], headCRC(v.text, b[:20]))
		v.write(v.text, b)
	}, "size"},

	{"unknown type", func(v *victim) { v.object(v.fixed, func(h, _ []byte) { le.PutUint32(h[4:], 99) }) }, "type"},
	{"size that its type has not", func(v *victim) {
		v.object(v.text, func(h, _ []byte) { le.PutUint32(h[4:], v.typ(0).ID) })
	}, "type"},

	{"entry of a type", func(v *victim) { v.flip(v.typ(0).Entry + 5) }, "types"},
	{"size in the entry of a type", func(v *victim) { v.entry(v.typ(1).Entry, 64, 2, func(b []byte) { b[16] += 8 }) }, "types"},
	{"descriptor of another type", func(v *victim) { v.object(v.typ(0).Ref.Off, func(_, b []byte) { b[0]++ }) }, "types"},
	{"hole in the table of types", func(v *victim) { v.write(v.typ(0).Entry, make([]byte, 64)) }, "types"},
	{"reserved bytes of the entry of a type", func(v *victim) { v.entry(v.typ(0).Entry, 64, 1, func(b []byte) { b[30] = 1 }) }, "reserved"},
	{"type without a descriptor", func(v *victim) { v.entry(v.typ(0).Entry, 64, 1, func(b []byte) { b[14]++ }) }, "dangling"},

	{"entry of a root", func(v *victim) { e, _ := v.root("list"); v.flip(e + 20) }, "root"},
	{"two roots of one name", func(v *victim) {
		v.setRoot("spare", func(b []byte) { copy(b[12:20], "\x03\x00\x00\x00big\x00"); b[20] = 0 })
	}, "root"},
	{"hole in the table of roots", func(v *victim) { e, _ := v.root("spare"); v.write(e+64, v.read(e, 64)); v.write(e, make([]byte, 64)) }, "root root root"},
	{"reserved bytes of a root", func(v *victim) { v.setRoot("list", func(b []byte) { b[50] = 1 }) }, "reserved"},
	{"root of an unknown type", func(v *victim) { v.setRoot("spare", func(b []byte) { b[8] = 200 }) }, "root"},

	{"rest of a big object given away", func(v *victim) { v.descriptor(v.span(v.big+4096).Index, func(b []byte) { b[0], b[4] = 0, 0 }) }, "run"},
	{"rest of a big object with a wrong number", func(v *victim) { v.descriptor(v.span(v.big+4096).Index, func(b []byte) { b[4] = 2 }) }, "run"},
	{"big object within another", func(v *victim) { v.descriptor(v.span(v.big+4096).Index, func(b []byte) { b[0], b[4] = 254, 1 }) }, "run"},
	{"rest of nothing", func(v *victim) {
		v.descriptor(v.r.Spans()-1, func(b []byte) { b[0], b[1], b[4] = 255, 1, 3 })
	}, "run"},

	{"incarnations below the base", func(v *victim) { v.descriptor(v.span(v.fixed).Index, func(b []byte) { b[2] = 1 }) }, "incarnation"},
	{"free slot below the base", func(v *victim) {
		v.descriptor(v.span(v.first).Index, func(b []byte) { b[2] = 1 })
	}, "incarnation"},

	{"root that forgot", func(v *victim) { v.setRoot("big", func(b []byte) { clear(b[:8]) }) }, "leak"},
	{"reference that forgot", func(v *victim) { v.ref(func(uint64) uint64 { return 0 }) }, "leak leak"},

	{"reference to what was freed", func(v *victim) {
		v.object(v.second, func(_, b []byte) { le.PutUint64(b[8:], uint64(v.free)|1<<48) })
	}, "dangling"},
	{"reference to another incarnation", func(v *victim) {
		v.object(v.second, func(_, b []byte) { le.PutUint64(b[8:], uint64(v.first)|7<<48) })
	}, "dangling"},
	{"reference to another type", func(v *victim) {
		v.object(v.second, func(_, b []byte) { le.PutUint64(b[8:], uint64(v.fixed)|1<<48) })
	}, "dangling"},
	{"reference into an object", func(v *victim) {
		v.object(v.second, func(_, b []byte) { le.PutUint64(b[8:], uint64(v.first+8)|1<<48) })
	}, "dangling"},
	{"reference out of the heap", func(v *victim) { v.object(v.second, func(_, b []byte) { le.PutUint64(b[8:], 1<<48-8) }) }, "dangling"},
	{"reference to the log", func(v *victim) { v.object(v.second, func(_, b []byte) { le.PutUint64(b[8:], 40000) }) }, "dangling"},
	{"reference in an array of structs", func(v *victim) {
		v.object(v.fixed, func(_, b []byte) { le.PutUint64(b[len(b)-16:], 1<<50|8) })
	}, "dangling"},
	{"root to what was freed", func(v *victim) { v.setRoot("spare", func(b []byte) { le.PutUint64(b, uint64(v.free)|1<<48) }) }, "dangling"},
	{"root to another type", func(v *victim) { v.setRoot("big", func(b []byte) { b[8] = byte(v.typ(0).ID) }) }, "dangling"},
}

// Each kind of damage is named, and nothing that follows from it.
func TestPlanted(t *testing.T) {
	for _, c := range planted {
		t.Run(c.name, func(t *testing.T) {
			v := newVictim(t)
			mustBeClean(t, v.m)
			c.plant(v)
			r, err := Check(ctx, v.m)
			if err != nil {
				t.Fatal(err)
			}
			if got := kinds(r); got != c.kinds {
				t.Errorf("%s, want %s", got, c.kinds)
				for _, p := range r.Problems {
					t.Log(p)
				}
			}
			for _, p := range r.Problems {
				if p.What == "" || p.Do == "" || p.Offset < 0 || p.Offset >= v.m.Size() {
					t.Errorf("%+v", p)
				}
			}
			if r.Clean() || r.Err() == nil {
				t.Error("the report is clean")
			}
		})
	}
}

// kinds are the kinds of the problems in a report, those of many incarnations once.
func kinds(r *Report) (s string) {
	for _, p := range r.Problems {
		if p.Kind == Incarnation && s == "incarnation" {
			continue
		}
		if s != "" {
			s += " "
		}
		s += fmt.Sprint(p.Kind)
	}
	return s
}
