package tracefs

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

const aggregated = `name: damon_aggregated
ID: 767
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:unsigned long target_id;	offset:8;	size:8;	signed:0;
	field:char comm[16];	offset:16;	size:16;	signed:0;

print fmt: "target_id=%lu", REC->target_id
`

const headerPage = `	field: u64 timestamp;	offset:0;	size:8;	signed:0;
	field: local_t commit;	offset:8;	size:8;	signed:1;
	field: int overwrite;	offset:8;	size:1;	signed:1;
	field: char data;	offset:16;	size:4080;	signed:0;
`

func TestParseFormat(t *testing.T) {
	f, err := ParseFormat(strings.NewReader(aggregated))
	if err != nil || f.Name != "damon_aggregated" || f.ID != 767 || len(f.Fields) != 4 {
		t.Fatalf("%+v, %v", f, err)
	}
	if id, err := f.Field("target_id"); err != nil || id != (Field{"target_id", "unsigned long", 8, 8, false}) {
		t.Errorf("%+v, %v", id, err)
	}
	for name, want := range map[string]error{"comm": ErrMalformed, "age": ErrNoField} { // one is no number, one is not there
		if got, err := f.Field(name); !errors.Is(err, want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for _, bad := range []string{"", "name: x\n", "ID: 7\n", "name: x\nID: 70000\n", "name: x\nID: 7\nfield:int a; offset:x; size:4; signed:1;\n",
		"name: x\nID: 7\nfield:int;\n", "name: x\nID: 7\nfield:int a; offset:-1; size:4; signed:1;\n", "name: x\nID: 7\nfield:int a; offset:4; signed:1; x;\n"} {
		if f, err := ParseFormat(strings.NewReader(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %+v, %v", bad, f, err)
		}
	}
}

func TestFieldUint(t *testing.T) {
	event := []byte{0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0, 0x80}
	for _, c := range []struct {
		f    Field
		want int64
		ok   bool
	}{
		{Field{Offset: 0, Size: 2}, 0xffff, true},
		{Field{Offset: 0, Size: 2, Signed: true}, -1, true},
		{Field{Offset: 2, Size: 4, Signed: true}, -2, true},
		{Field{Offset: 6, Size: 2}, 0x8000, true},
		{Field{Offset: 6, Size: 2, Signed: true}, -0x8000, true},
		{Field{Offset: 0, Size: 8}, -0x7fff000000010001, true},
		{Field{Offset: 7, Size: 2}, 0, false},
	} {
		if got, ok := c.f.Uint(event); ok != c.ok || int64(got) != c.want {
			t.Errorf("%+v: %#x, %v", c.f, got, ok)
		}
	}
}

func TestParseLayout(t *testing.T) {
	l, err := ParseLayout(strings.NewReader(headerPage))
	if err != nil || l.Size() != 4096 || l.Commit.Size != 8 || l.Data.Offset != 16 {
		t.Fatalf("%+v, %v", l, err)
	}
	for _, bad := range []string{"", strings.Replace(headerPage, "size:8", "size:2", 1), strings.Replace(headerPage, "offset:16", "offset:8", 1),
		strings.Replace(headerPage, "commit", "omit", 1)} {
		if l, err := ParseLayout(strings.NewReader(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %+v, %v", bad, l, err)
		}
	}
}

func TestParseStats(t *testing.T) {
	s, err := ParseStats("entries: 5\noverrun: 3\ncommit overrun: 2\nbytes: 71488\noldest event ts:   770.268820\ndropped events: 1\nread events: 9\n")
	if err != nil || s != (Stats{Entries: 5, Read: 9, Overrun: 3, CommitOverrun: 2, Dropped: 1}) || s.Lost() != 6 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, bad := range []string{"", "entries: 5\n", "entries: x\noverrun: 3\n", "entries: 5\noverrun\n"} {
		if s, err := ParseStats(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %+v, %v", bad, s, err)
		}
	}
}

// page makes a page of the ring buffer.
func page(stamp, flags uint64, words ...uint32) []byte {
	p := make([]byte, 4096)
	binary.LittleEndian.PutUint64(p, stamp)
	binary.LittleEndian.PutUint64(p[8:], uint64(len(words)*4)|flags)
	for i, w := range words {
		binary.LittleEndian.PutUint32(p[16+4*i:], w)
	}
	return p
}

func head(kind, delta uint32) uint32 { return delta<<5 | kind }

type seen struct {
	time uint64
	data string
}

func decode(p []byte) (all []seen, missed Missed, err error) {
	l, err := ParseLayout(strings.NewReader(headerPage))
	if err != nil {
		return nil, missed, err
	}
	base, data, missed, err := l.split(p)
	if err != nil {
		return nil, missed, err
	}
	err = events(base, data, func(time uint64, data []byte) error {
		all = append(all, seen{time, string(data)})
		return nil
	})
	return all, missed, err
}

// Each kind of event counts as the kernel's description says, and none is passed on but
// data.
func TestEvents(t *testing.T) {
	word := func(w uint32) string { return string(binary.LittleEndian.AppendUint32(nil, w)) }
	const base = 1<<60 | 1000
	got, missed, err := decode(page(base, 0,
		head(1, 5), 11, // one word
		head(timeExtend, 7), 2, // 2<<27 + 7 later
		head(0, 1), 12, 21, 22, // a length in a word of its own, which it counts
		head(padding, 3), 8, 98, // discarded: its time counts
		head(2, 0), 31, 32,
		head(timeStamp, 9), 4, // from now on 4<<27 + 9, with the highest bits of the page
		head(1, 1), 41,
		head(padding, 0), // the rest is nothing
		head(1, 1), 51,
	))
	const late = base + 5 + 2<<27 + 7
	want := []seen{{base + 5, word(11)}, {late + 1, word(21) + word(22)}, {late + 4, word(31) + word(32)}, {1<<60 | 4<<27 + 10, word(41)}}
	if err != nil || missed != (Missed{}) || len(got) != len(want) {
		t.Fatalf("%v %+v %v", got, missed, err)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("event %d: %+v, want %+v", i, got[i], want[i])
		}
	}
}

func TestMissed(t *testing.T) {
	p := page(5, missedEvents, head(1, 1), 11)
	if got, missed, err := decode(p); err != nil || missed != (Missed{Some: true}) || len(got) != 1 {
		t.Errorf("%v %+v %v", got, missed, err)
	}
	p = page(5, missedEvents|missedStored, head(1, 1), 11)
	binary.LittleEndian.PutUint64(p[16+8:], 77)
	if got, missed, err := decode(p); err != nil || missed != (Missed{Events: 77, Some: true}) || len(got) != 1 {
		t.Errorf("%v %+v %v", got, missed, err)
	}
}

func TestMalformedPages(t *testing.T) {
	for name, p := range map[string][]byte{
		"short":            make([]byte, 15),
		"longer than it":   page(1, 8000),
		"no length":        page(1, 0, head(0, 1)),
		"length of itself": page(1, 0, head(0, 1), 0),
		"past the end":     page(1, 0, head(3, 1), 1, 2),
		"far past the end": page(1, 0, head(0, 1), 1<<31, 2),
		"half an extend":   page(1, 0, head(timeExtend, 1)),
	} {
		if got, _, err := decode(p); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func FuzzFormat(f *testing.F) {
	f.Add(aggregated)
	f.Add(headerPage)
	f.Fuzz(func(t *testing.T, text string) {
		if format, err := ParseFormat(strings.NewReader(text)); err == nil {
			for _, field := range format.Fields {
				field.Uint([]byte(text))
			}
		}
		if l, err := ParseLayout(strings.NewReader(text)); err == nil {
			_, _, _, _ = l.split([]byte(text))
		}
	})
}

func FuzzPage(f *testing.F) {
	f.Add(page(1, missedEvents, head(1, 5), 11, head(timeExtend, 7), 2, head(0, 1), 12, 21, 22, head(padding, 3), 8, 98, 99)[:64])
	f.Fuzz(func(t *testing.T, p []byte) {
		total := 0
		all, _, err := decode(p)
		for _, e := range all {
			total += len(e.data) + 4
		}
		if total > len(p) {
			t.Errorf("%d bytes of events out of %d, %v", total, len(p), err)
		}
	})
}

func FuzzStats(f *testing.F) {
	f.Add("entries: 5\noverrun: 3\n")
	f.Fuzz(func(t *testing.T, text string) { _, _ = ParseStats(text) })
}
