package pmem

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"
)

// What the log's last round left is no torn end.
func TestNothingIsTorn(t *testing.T) {
	p := newTestPool(t, 64*4096, Options{LogSize: 1024, LogExtent: 256, SpanSize: 4096})
	var r Ref[Bytes]
	for i := range 200 {
		update(t, p, func(tx *Tx) (err error) {
			if i%2 == 1 {
				return Free(tx, r)
			}
			r, err = AllocBytes(tx, make([]byte, i%13*17))
			return err
		})
		reader, err := NewReader(p.m)
		if err != nil {
			t.Fatal(err)
		}
		if l := reader.Log(); l.Torn || l.Err != nil || reader.Info().Sequence != p.Info().Sequence {
			t.Errorf("transaction %d: %+v, sequence %d of %d", i, l, reader.Info().Sequence, p.Info().Sequence)
		}
	}
}

// Words and masks, one after the other, laid over what is read at any offset.
func TestOverlay(t *testing.T) {
	base := make([]byte, 256)
	for i := range base {
		base[i] = byte(i)
	}
	want, o := bytes.Clone(base), overlay{}
	for _, r := range []run{
		{runPut, 8, bytes.Repeat([]byte{0xaa}, 72)},
		{runSet, 16, le.AppendUint64(nil, 0x0f)},
		{runClear, 16, le.AppendUint64(nil, 0xa0)},
		{runSet, 128, le.AppendUint64(nil, 1<<63)},
		{runClear, 128, le.AppendUint64(nil, 1<<63|1)},
		{runSet, 128, le.AppendUint64(nil, 1)},
		{runPut, 248, le.AppendUint64(nil, 7)},
	} {
		o.add(r)
		switch v := le.Uint64(want[r.off:]); r.kind {
		case runPut:
			copy(want[r.off:], r.data)
		case runSet:
			le.PutUint64(want[r.off:], v|le.Uint64(r.data))
		case runClear:
			le.PutUint64(want[r.off:], v&^le.Uint64(r.data))
		}
	}
	for _, at := range [][2]int64{{0, 256}, {1, 100}, {16, 17}, {63, 65}, {255, 256}, {100, 101}, {9, 9}} {
		got := bytes.Clone(base[at[0]:at[1]])
		o.lay(at[0], got)
		if !bytes.Equal(got, want[at[0]:at[1]]) {
			t.Errorf("%v: %x, want %x", at, got, want[at[0]:at[1]])
		}
	}
}

func TestNameOfBytes(t *testing.T) {
	if got := typeName(bytesType); got != BytesName {
		t.Errorf("%q", got)
	}
}

type inner struct {
	Pad  uint32
	Refs [2]Ref[account]
}

type outer struct {
	Head  Ref[Bytes]
	Rows  [3][2]inner
	Empty [0]inner
	Tail  Ref[outer]
}

// The references of a type, with arrays in structs in arrays.
func TestRefFields(t *testing.T) {
	l, err := layoutOf(reflect.TypeFor[outer]())
	if err != nil {
		t.Fatal(err)
	}
	info, err := ParseType(l.text())
	if err != nil {
		t.Fatal(err)
	}
	fields, err := info.RefFields()
	if err != nil {
		t.Fatal(err)
	}
	var v outer
	v.Head.word, v.Tail.word = 1, 14
	n := uint64(2)
	for i := range v.Rows {
		for j := range v.Rows[i] {
			for k := range v.Rows[i][j].Refs {
				v.Rows[i][j].Refs[k].word = n
				n++
			}
		}
	}
	got := ""
	for _, f := range fields {
		f.Each(bytesOf(&v), func(off int64, a Address) { got += fmt.Sprintf("%s %d; ", f.Path, a.Off) })
	}
	want := "Head 1; "
	for i := 2; i < 14; i++ {
		want += fmt.Sprintf("Rows[][].Refs[] %d; ", i)
	}
	if want += "Tail 14; "; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
