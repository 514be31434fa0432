package recording

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/kernel/damon"
)

// each is one entry of each kind, but the end.
func each() []Entry {
	scheme := 3
	origin := damon.Origin{Time: -5, Thread: 77}
	region := damon.Region{Start: 4096, End: math.MaxUint64, Accesses: 7, Age: 8}
	return []Entry{
		&Start{Source: "tracefs", Program: "test", Kernel: "6.18", BootID: "x", Time: time.Unix(5, 6).UTC(), Monotonic: 9, Absent: []string{"damos_esz"}},
		&Setup{Time: 4, Contexts: []Context{{Thread: 77, Kdamond: 1, Context: 2, Scheme: &scheme, Owner: damon.ByInterface, Operations: damon.PAddr, AddrUnit: 1,
			Intervals: damon.Intervals{Sample: 5, Aggr: 6, Goal: &damon.IntervalsGoal{Aggrs: 3}}, Regions: damon.Range{Min: 1, Max: 2}, PIDs: []int{812}}}},
		&Snapshot{damon.Snapshot{Thread: 77, Target: 2, Start: 1, End: 1 << 62, Expected: 3, Regions: []damon.Region{{Start: 1 << 40, End: 1<<40 + 4096}, {Start: 4096, End: 8192, Accesses: 20, Age: 1}, region}}},
		&Snapshot{damon.Snapshot{Thread: -1}},
		&Applied{damon.BeforeApply{Origin: origin, Context: 1, Scheme: 2, Target: 3, Regions: 4, Region: region}},
		&Quota{damon.EffectiveSize{Origin: origin, Context: 1, Scheme: 2, Bytes: math.MaxUint64}},
		&Tuned{damon.IntervalsTuned{Origin: origin, Sample: 5000}},
		&Lost{Time: 1, CPU: 2, Events: 3},
		&Footprint{Time: 1, PID: 2, Size: 3, Resident: 4, Shared: 5},
	}
}

// write writes entries, each in a frame of its own, and returns where the frames end.
func write(t testing.TB, entries []Entry) (file []byte, ends []int) {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := errors.Join(w.Write(e), w.Flush()); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, out.Len())
	}
	if err := w.Close(End{Time: 11, Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), append(ends, out.Len())
}

// read returns all entries, as copies.
func read(file []byte) (all []Entry, err error) {
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for {
		e, err := r.Next()
		if err != nil {
			return all, err
		}
		if s, ok := e.(*Snapshot); ok {
			c := *s
			c.Regions = append([]damon.Region(nil), s.Regions...)
			e = &c
		}
		all = append(all, e)
	}
}

func TestRoundTrip(t *testing.T) {
	want := each()
	file, _ := write(t, want)
	got, err := read(file)
	want = append(want, &End{Time: 11, Reason: "test"})
	if err != io.EOF || len(got) != len(want) {
		t.Fatal(len(got), err)
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("got %+v\nwant %+v", got[i], want[i])
		}
	}
}

// However a file is cut, what was whole before is read, and it is said that it is cut.
func TestCutAtEveryByte(t *testing.T) {
	want := each()
	file, ends := write(t, want)
	want = append(want, &End{Time: 11, Reason: "test"})
	for n := range file {
		got, err := read(file[:n])
		whole := 0
		for whole < len(ends) && ends[whole] <= n {
			whole++
		}
		var damage *DamageError
		if !errors.Is(err, ErrCut) || !errors.As(err, &damage) || len(got) != whole {
			t.Fatalf("cut at %d: %d entries, want %d; %v", n, len(got), whole, err)
		}
		if whole > 0 && !reflect.DeepEqual(got[whole-1], want[whole-1]) {
			t.Fatalf("cut at %d: %+v", n, got[whole-1])
		}
		if at := damage.Offset; n >= headerSize && at != int64(max(headerSize, append([]int{0}, ends...)[whole])) {
			t.Fatalf("cut at %d: said to be at %d", n, at)
		}
	}
}

// A bit that is flipped anywhere is found, and nothing before it is lost.
func TestFlipEveryByte(t *testing.T) {
	file, ends := write(t, each())
	for n := range file {
		for _, bit := range []byte{1, 0x80} {
			flipped := bytes.Clone(file)
			flipped[n] ^= bit
			got, err := read(flipped)
			whole := 0
			for ends[whole] <= n {
				whole++
			}
			if n < headerSize {
				whole = 0
			}
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrFormat) || errors.Is(err, ErrCut) || len(got) != whole {
				t.Fatalf("byte %d: %d entries, want %d; %v", n, len(got), whole, err)
			}
		}
	}
}

func TestBehindTheEnd(t *testing.T) {
	file, ends := write(t, each())
	frame := file[headerSize:ends[0]]
	for _, more := range [][]byte{{0}, make([]byte, 100), frame} {
		if _, err := read(append(bytes.Clone(file), more...)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d bytes more: %v", len(more), err)
		}
	}
}

func TestOtherFiles(t *testing.T) {
	other := bytes.Clone(header())
	other[8] = 2
	binary.LittleEndian.PutUint32(other[12:], crc32.Checksum(other[:12], castagnoli))
	for name, file := range map[string][]byte{"text": []byte("a text of more than sixteen bytes"), "short": []byte("text"), "newer": other} {
		if _, err := read(file); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Kinds of newer versions are passed over.
func TestUnknownKind(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	w.block = append(appendUints(w.block, 99, 3), "abc"...)
	if err := errors.Join(w.Write(&Lost{Events: 5}), w.Close(End{})); err != nil {
		t.Fatal(err)
	}
	got, err := read(out.Bytes())
	if err != io.EOF || len(got) != 2 || *got[0].(*Lost) != (Lost{Events: 5}) {
		t.Errorf("%v, %v", got, err)
	}
}

// Nobody but the owner reads it, and what is there is not overwritten.
func TestCreate(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	w, err := Create(name)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != headerSize || w.Size() != headerSize {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := Create(name); !errors.Is(err, os.ErrExist) {
		t.Errorf("again: %v", err)
	}
	if err := errors.Join(w.Write(&Lost{}), w.Close(End{})); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(&Lost{}), w.Sync()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("written when closed: %v", err)
	}
}

// disk is full after some bytes.
type disk struct {
	bytes.Buffer
	room int
}

func (d *disk) Write(b []byte) (int, error) {
	n := min(len(b), d.room-d.Len())
	d.Buffer.Write(b[:n])
	if n < len(b) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

// A full disk is an error once and for ever; what was whole is there. Room for a part of
// a frame makes no frame that looks whole.
func TestFullDisk(t *testing.T) {
	for room := headerSize; room < 200; room++ {
		d := &disk{room: room}
		w, err := NewWriter(d)
		if err != nil {
			t.Fatal(err)
		}
		whole := 0
		for n := 0; err == nil && n < 20; n++ {
			if err = errors.Join(w.Write(&Lost{Events: 1}), w.Flush()); err == nil {
				whole++
			}
		}
		d.room = 1 << 20
		if again := errors.Join(w.Write(&Lost{Events: 1}), w.Flush()); !errors.Is(err, syscall.ENOSPC) || !errors.Is(again, syscall.ENOSPC) {
			t.Fatalf("%v, then %v", err, again)
		}
		if got, err := read(d.Bytes()); !errors.Is(err, ErrCut) || len(got) != whole {
			t.Fatalf("%d of %d: %v", len(got), whole, err)
		}
	}
}

func TestTooLarge(t *testing.T) {
	w, err := NewWriter(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	large := &Snapshot{damon.Snapshot{Regions: make([]damon.Region, blockMost/8)}}
	if err := w.Write(large); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	if err := w.Write(&Lost{}); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

// A full file is ended and kept once; each begins anew.
func TestRotate(t *testing.T) {
	name := filepath.Join(t.TempDir(), "r")
	r, err := NewRotating(name, 300, func(w *Writer) error { return w.Write(&Start{Source: "test"}) })
	if err != nil {
		t.Fatal(err)
	}
	turns := 0
	for n := range 60 {
		if err := errors.Join(r.Write(&Lost{Events: uint64(n)}), r.Sync()); err != nil {
			t.Fatal(err)
		}
		turned, err := r.Turn(End{Reason: "full"})
		if err != nil {
			t.Fatal(err)
		}
		if turned {
			turns++
			if info, err := os.Stat(r.Old()); err != nil || info.Size() < 300 {
				t.Fatalf("turned too early: %v, %v", info, err)
			}
		}
	}
	if err := r.Close(End{Reason: "end"}); err != nil || turns < 3 {
		t.Fatal(turns, err)
	}
	next := uint64(60)
	for _, name := range []string{name, r.Old()} {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := read(file)
		if _, ok := got[0].(*Start); err != io.EOF || !ok {
			t.Fatalf("%s: %v, %v", name, got, err)
		}
		lost := got[1 : len(got)-1]
		for i := len(lost) - 1; i >= 0; i-- {
			if next--; lost[i].(*Lost).Events != next {
				t.Fatalf("%s: %+v, want %d", name, lost[i], next)
			}
		}
	}
	entries, err := os.ReadDir(filepath.Dir(name))
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
}

func FuzzReader(f *testing.F) {
	file, _ := write(f, each())
	f.Add(file)
	f.Add(header())
	f.Fuzz(func(t *testing.T, file []byte) {
		if _, err := read(file); err == nil {
			t.Error("no error and no end")
		}
	})
}

// Entries of any bytes are parsed, or refused; what is parsed is written the same again.
func FuzzEntry(f *testing.F) {
	for _, e := range each() {
		f.Add(e.kind(), e.append(nil))
	}
	f.Fuzz(func(t *testing.T, kind uint64, text []byte) {
		e := newEntry(kind)
		if e == nil {
			return
		}
		b := &body{left: text}
		if e.parse(b); b.bad || len(b.left) > 0 {
			return
		}
		again := newEntry(kind)
		first := e.append(nil)
		again.parse(&body{left: first})
		if second := again.append(nil); !bytes.Equal(first, second) {
			t.Errorf("%x, then %x", first, second)
		}
	})
}

// A number of regions takes no more memory than the bytes that are there can fill.
func TestRegionsMost(t *testing.T) {
	text := (&Snapshot{}).append(nil)
	text = append(text[:len(text)-1], 0x80, 0x80, 0x40) // 1 Mi regions
	b := &body{left: append(text, make([]byte, 1<<20)...)}
	var e Snapshot
	if e.parse(b); !b.bad || cap(e.Regions) > 0 {
		t.Errorf("%d regions of %d bytes", cap(e.Regions), 1<<20)
	}
}
