package state

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

var (
	adr    = Model{Domain: ADR, Unit: 64}
	eadr   = Model{Domain: EADR, Unit: 64}
	kill   = Model{Domain: Kill, Unit: 64}
	sector = Model{Domain: PageCache, Unit: 512}
	torn   = Model{Domain: PageCache, Unit: 512, Torn: true}
)

func word(v byte) []byte { return []byte{v, v, v, v, v, v, v, v} }

func store(off int64, v byte) Event  { return Event{Kind: Store, Off: off, Data: word(v)} }
func stream(off int64, v byte) Event { return Event{Kind: Stream, Off: off, Data: word(v)} }
func flush(off, n int64) Event       { return Event{Kind: Flush, Off: off, Len: n} }
func fence() Event                   { return Event{Kind: Fence} }
func by(thread int, e Event) Event   { e.Thread = thread; return e }

// apply plays events and numbers them.
func apply(t *testing.T, s *State, events ...Event) {
	t.Helper()
	for i, e := range events {
		e.Index = i
		if err := s.Apply(e, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// images makes all images of the cells, each as often as the product has it.
func images(s *State) (all []string) {
	image := slices.Clone(s.Base())
	var rest func(cells []*Cell)
	rest = func(cells []*Cell) {
		if len(cells) == 0 {
			all = append(all, string(image))
			return
		}
		for _, v := range cells[0].Versions {
			copy(image[cells[0].Off:], v.Data)
			rest(cells[1:])
		}
	}
	rest(s.Cells())
	return all
}

// The product formula, on traces where no two states have equal bytes.
func TestCounts(t *testing.T) {
	tests := []struct {
		name   string
		model  Model
		events []Event
		want   int64
	}{
		{"nothing", adr, nil, 1},
		{"one store", adr, []Event{store(0, 1)}, 2},
		{"one line is a prefix", adr, []Event{store(0, 1), store(8, 1), store(16, 1)}, 4},
		{"ten stores in five lines", adr, []Event{store(0, 1), store(8, 1), store(64, 1), store(72, 1), store(128, 1), store(136, 1),
			store(192, 1), store(200, 1), store(256, 1), store(264, 1)}, 243},
		{"unflushed stores stay in doubt", adr, []Event{store(0, 1), fence()}, 2},
		{"a flush alone settles nothing", adr, []Event{store(0, 1), flush(0, 8)}, 2},
		{"flush and fence", adr, []Event{store(0, 1), flush(0, 8), fence()}, 1},
		{"a store behind the flush", adr, []Event{store(0, 1), flush(0, 8), store(8, 1), fence()}, 2},
		{"a range flush", adr, []Event{store(0, 1), store(64, 1), flush(60, 5), fence()}, 1},
		{"a flush of the wrong line", adr, []Event{store(0, 1), flush(64, 8), fence()}, 2},
		{"another thread's fence", adr, []Event{store(0, 1), by(1, flush(0, 8)), by(2, fence())}, 2},
		{"another thread's store under a flush", adr, []Event{by(1, store(0, 1)), by(2, flush(0, 8)), by(2, fence())}, 1},
		{"a wide store is torn at words", adr, []Event{{Kind: Store, Off: 0, Data: bytes.Repeat([]byte{1}, 32)}}, 5},
		{"a store across lines", adr, []Event{{Kind: Store, Off: 60, Data: word(1)}}, 4},
		{"non-temporal words are a subset", adr, []Event{stream(0, 1), stream(8, 1), stream(16, 1)}, 8},
		{"one non-temporal word keeps its order", adr, []Event{stream(0, 1), stream(0, 2), stream(8, 1)}, 6},
		{"a fence after non-temporal stores", adr, []Event{stream(0, 1), stream(8, 1), fence()}, 1},
		{"another thread's fence after non-temporal stores", adr, []Event{by(1, stream(0, 1)), by(2, fence())}, 2},
		{"a flush is no fence for a non-temporal store", adr, []Event{stream(0, 1), flush(0, 8)}, 2},
		{"eADR keeps stores", eadr, []Event{store(0, 1), store(64, 1)}, 1},
		{"eADR does not keep non-temporal stores", eadr, []Event{stream(0, 1), stream(8, 1), store(64, 1)}, 4},
		{"a killed process keeps all", kill, []Event{stream(0, 1), store(64, 1)}, 1},
		{"a sector is a prefix", sector, []Event{store(0, 1), store(64, 1), store(512, 1)}, 6},
		{"a torn sector is a subset", torn, []Event{store(0, 1), store(64, 1), store(512, 1)}, 8},
		{"a sync", sector, []Event{store(0, 1), {Kind: SyncBegin, Len: 8}, store(8, 1), {Kind: SyncEnd}}, 2},
		{"a sync of another sector", sector, []Event{store(0, 1), {Kind: SyncBegin, Off: 512, Len: 8}, {Kind: SyncEnd}}, 2},
		{"a flush does not reach the disk", sector, []Event{store(0, 1), flush(0, 8), fence()}, 2},
		{"a failed sync loses for ever", sector, []Event{store(0, 1), {Kind: SyncBegin, Len: 8}, {Kind: SyncFail}, {Kind: SyncBegin, Len: 8, ID: 1}, {Kind: SyncEnd, ID: 1}}, 2},
		{"writing again mends a failed sync", sector, []Event{store(0, 1), {Kind: SyncBegin, Len: 8}, {Kind: SyncFail}, store(0, 1), {Kind: SyncBegin, Len: 8, ID: 1}, {Kind: SyncEnd, ID: 1}}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := New(tt.model, make([]byte, 1024))
			if err != nil {
				t.Fatal(err)
			}
			apply(t, s, tt.events...)
			if got := s.Images().Int64(); got != tt.want {
				t.Errorf("%d images, want %d", got, tt.want)
			}
			compare(t, tt.model, 1024, tt.events)
		})
	}
}

// compare plays the events and holds the images before each of them, and after the last,
// against the independent enumerator.
func compare(t *testing.T, model Model, size int, events []Event) {
	t.Helper()
	want := bruteForce(model, make([]byte, size), events)
	s, err := New(model, make([]byte, size))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		got := map[string]bool{}
		for _, image := range images(s) {
			if got[image] {
				t.Fatalf("%v: before event %d an image comes twice", model, i)
			}
			got[image] = true
			if !want[i][image] {
				t.Fatalf("%v: before event %d of %s: an image that no order of persists makes", model, i, describe(events))
			}
		}
		if len(got) != len(want[i]) {
			t.Fatalf("%v: before event %d of %s: %d images, all orders of persists make %d", model, i, describe(events), len(got), len(want[i]))
		}
		if i == len(events) {
			return
		}
		apply(t, s, events[i])
	}
}

func describe(events []Event) (s string) {
	for _, e := range events {
		s += fmt.Sprintf("{%d t%d %d+%d id%d} ", e.Kind, e.Thread, e.Off, max(e.Len, int64(len(e.Data))), e.ID)
	}
	return s
}

// randomEvents makes a small trace. No unit takes both kinds of stores.
func randomEvents(r *rand.Rand, model Model) []Event {
	events := make([]Event, 3+r.IntN(6))
	var syncing []int
	for i := range events {
		e := Event{Thread: r.IntN(2), Off: int64(r.IntN(2)) * int64(model.Unit), Index: i, ID: i}
		e.Off += int64(r.IntN(3)) * 8
		switch k := r.IntN(10); {
		case k < 6:
			e.Kind, e.Data = Store, bytes.Repeat([]byte{byte(1 + r.IntN(3))}, []int{4, 8, 8, 8, 12}[r.IntN(5)])
			if model.Domain != PageCache && e.Off >= int64(model.Unit) {
				e.Kind = Stream
			}
		case model.Domain == PageCache && len(syncing) > 0 && k < 8:
			e.Kind, e.ID, e.Off = []Kind{SyncEnd, SyncEnd, SyncFail}[r.IntN(3)], syncing[0], 0
			syncing = syncing[1:]
		case model.Domain == PageCache:
			e.Kind, e.Len = SyncBegin, 8
			syncing = append(syncing, i)
		case k < 8:
			e.Kind, e.Len = Flush, int64(1+r.IntN(2*model.Unit-32))
		default:
			e.Kind = Fence
		}
		events[i] = e
	}
	return events
}

// Exactness: on random small traces the images are those of the independent enumerator.
func TestBruteForce(t *testing.T) {
	n := 400
	if testing.Short() {
		n = 50
	}
	for _, model := range []Model{adr, eadr, kill, sector, torn, {Domain: PageCache, Unit: 4096}, {Domain: ADR, Unit: 128}} {
		r := rand.New(rand.NewPCG(1, uint64(model.Unit)))
		for range n {
			compare(t, model, 3*model.Unit, randomEvents(r, model))
			if t.Failed() {
				return
			}
		}
	}
}

// A killed process leaves the program's prefix, word by word.
func TestKill(t *testing.T) {
	s, err := New(kill, make([]byte, 128))
	if err != nil {
		t.Fatal(err)
	}
	var seen []byte
	point := func() error { seen = append(seen, s.Base()[0]+s.Base()[8]+s.Base()[64]); return nil }
	for _, e := range []Event{{Kind: Store, Data: bytes.Repeat([]byte{1}, 16)}, stream(64, 1)} {
		if err := s.Apply(e, point); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(seen, []byte{0, 1, 2}) || s.Images().Int64() != 1 {
		t.Errorf("moments %v and %v images", seen, s.Images())
	}
}

func TestErrors(t *testing.T) {
	for _, m := range []Model{{Domain: 9, Unit: 64}, {Domain: ADR, Unit: 0}, {Domain: ADR, Unit: 65}, {Domain: ADR, Unit: 64, Torn: true}} {
		if _, err := New(m, nil); !errors.Is(err, ErrModel) {
			t.Errorf("%+v: %v", m, err)
		}
	}
	mixed := [][]Event{{store(0, 1), stream(8, 1)}, {stream(0, 1), store(8, 1)}, {store(0, 1), flush(0, 8), stream(0, 1)}, {by(1, stream(0, 1)), by(2, fence()), store(0, 1)}}
	for _, events := range mixed {
		s, _ := New(adr, make([]byte, 128))
		var err error
		for _, e := range events {
			err = s.Apply(e, nil)
		}
		if !errors.Is(err, ErrMixed) {
			t.Errorf("%s: %v", describe(events), err)
		}
	}
	s, _ := New(adr, make([]byte, 128))
	apply(t, s, store(0, 1), flush(0, 8), fence(), stream(0, 2), fence(), store(0, 3))
	if err := s.Apply(Event{Kind: Store, Off: 124, Data: word(1)}, nil); !errors.Is(err, ErrRange) {
		t.Error(err)
	}
}

// A version names the stores that it holds.
func TestSources(t *testing.T) {
	s, _ := New(adr, make([]byte, 128))
	apply(t, s, store(0, 1), store(64, 2), store(8, 3))
	c := s.Cells()[0]
	if c.Off != 0 || c.Len != 16 || len(c.Versions) != 3 || !slices.Equal(c.Versions[2].Stores, []int{0, 2}) {
		t.Errorf("%+v", c)
	}
}

// An overlay says the same of every medium that may be below it.
func TestOverlay(t *testing.T) {
	n := 200
	if testing.Short() {
		n = 30
	}
	for _, model := range []Model{adr, eadr, sector, torn} {
		r := rand.New(rand.NewPCG(3, uint64(model.Unit)))
		for range n {
			events := randomEvents(r, model)
			s, err := NewOverlay(model, make([]byte, 3*model.Unit))
			if err != nil {
				t.Fatal(err)
			}
			apply(t, s, events...)
			for range 3 {
				below := make([]byte, 3*model.Unit)
				for i := range below {
					below[i] = byte(r.IntN(4))
				}
				got := map[string]bool{}
				overlaid(below, s.Settled(), s.Cells(), got)
				want := bruteForce(model, below, events)[len(events)]
				if !maps.Equal(got, want) {
					t.Fatalf("%v: %s: %d images, want %d", model, describe(events), len(got), len(want))
				}
			}
		}
	}
}

func overlaid(below []byte, settled, cells []*Cell, images map[string]bool) {
	cells = append(slices.Clone(settled), cells...)
	var rest func(image []byte, i int)
	rest = func(image []byte, i int) {
		if i == len(cells) {
			images[string(image)] = true
			return
		}
		for _, v := range cells[i].Versions {
			next := slices.Clone(image)
			v.Put(next[cells[i].Off:], 0, cells[i].Len)
			rest(next, i+1)
		}
	}
	rest(below, 0)
}

// New space at the end of a file is zeros, whatever waited there.
func TestZero(t *testing.T) {
	s, _ := New(sector, make([]byte, 2048))
	apply(t, s, store(512, 1), store(1024, 1), Event{Kind: SyncBegin, Off: 512, Len: 1024}, Event{Kind: Zero, Off: 1024, Len: 1024}, Event{Kind: SyncEnd})
	if s.Base()[512] != 1 || s.Base()[1024] != 0 || s.Now()[1024] != 0 || len(s.Cells()) != 0 {
		t.Error("what waited in new space is still there")
	}
}

// The end of a process makes nothing durable. An ordinary store finds what it streamed to that line.
func TestExit(t *testing.T) {
	s, err := New(adr, make([]byte, 1024))
	if err != nil {
		t.Fatal(err)
	}
	apply(t, s, by(1, stream(0, 1)), by(2, stream(8, 1)), store(64, 1), by(1, flush(64, 8)), store(128, 1))
	s.Exit()
	apply(t, s, by(1, fence())) // another one, which has the number
	if n := s.Images().Int64(); n != 16 {
		t.Errorf("%d images, want 16: two words and two lines", n)
	}
	apply(t, s, store(0, 2), store(16, 2))
	if n := s.Images().Int64(); n != 12 || s.Base()[0] != 1 || s.Base()[8] != 1 {
		t.Errorf("%d images, want 12 of three lines", n)
	}
	apply(t, s, by(3, stream(192, 1)))
	if err := s.Apply(store(200, 1), nil); !errors.Is(err, ErrMixed) {
		t.Errorf("both kinds of stores of those who live: %v", err)
	}
}

// A word that was streamed twice is one word of its line until the fence, and then none.
func TestStreamedTwice(t *testing.T) {
	s, err := New(adr, make([]byte, 512))
	if err != nil {
		t.Fatal(err)
	}
	apply(t, s, stream(0, 1), stream(0, 2), fence(), store(0, 3), flush(0, 8), fence(), stream(8, 1))
	if n := s.Images().Int64(); n != 2 {
		t.Errorf("%d images, want 2", n)
	}
}

// New space is zeros whatever waited there, of failed syncs too, and stays so.
func TestZeroForgets(t *testing.T) {
	for _, model := range []Model{sector, torn} {
		s, err := New(model, make([]byte, 1024))
		if err != nil {
			t.Fatal(err)
		}
		apply(t, s, store(0, 1), store(512, 1), Event{Kind: SyncBegin, ID: 1, Len: 1024}, Event{Kind: SyncFail, ID: 1},
			store(512, 2), store(8, 1), Event{Kind: SyncBegin, ID: 2, Len: 1024}, Event{Kind: Zero, Off: 512, Len: 512})
		if n, base := s.Images().Int64(), s.Base(); n != 4 || !bytes.Equal(base[512:], make([]byte, 512)) {
			t.Errorf("%v: %d images, want 4", model, n)
		}
		apply(t, s, Event{Kind: SyncEnd, ID: 2})
		if n, base := s.Images().Int64(), s.Base(); n != 2 || !bytes.Equal(base[512:], make([]byte, 512)) {
			t.Errorf("%v: %d images after the sync, want 2", model, n)
		}
	}
}
