package pool

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/region"
)

func newPool(t testing.TB, o Options) *Pool {
	t.Helper()
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil && !errors.Is(err, region.ErrClosed) {
			t.Error(err)
		}
	})
	return p
}

func alloc(t testing.TB, p *Pool, n int) Secret {
	t.Helper()
	s, err := p.Alloc(n)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// memory is the arena of a pool that is not windowed.
func memory(p *Pool, arena int) []byte { return (*p.arenas.Load())[arena].region.Bytes() }

func want(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("got %v, want %v", err, target)
	}
}

// Slots of a class lie in a page without touching, with pattern between them.
func TestClasses(t *testing.T) {
	for n := 1; n <= MaxSize; n++ {
		c := classOf[(n+word-1)/word]
		if rooms[c] < n || c > 0 && rooms[c-1] >= n {
			t.Fatalf("%d bytes are in class %d of %d", n, c, rooms[c])
		}
	}
	for c, room := range rooms {
		n := slotsOf(uint8(c))
		if n < 1 || n > most || room%word != 0 || word+n*(room+word) > pageSize {
			t.Errorf("class of %d: %d slots", room, n)
		}
		if room > 192 && room < (pageSize-word)/n/word*word-word {
			t.Errorf("class of %d wastes: %d slots could have more", room, n)
		}
	}
}

func TestSizes(t *testing.T) {
	step := 7
	if testing.Short() {
		step = 61
	}
	p := newPool(t, Options{Size: 256 << 10})
	for n := 1; n <= MaxSize; n += step {
		s := alloc(t, p, n)
		if s.Len() != n {
			t.Fatalf("%d bytes, want %d", s.Len(), n)
		}
		b, err := s.Bytes()
		if err != nil || len(b) != n || cap(b) != n || !bytes.Equal(b, make([]byte, n)) {
			t.Fatalf("%d bytes: %v, %d of %d, want zeroes", n, err, len(b), cap(b))
		}
		for i := range b {
			b[i] = 0xa5
		}
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
		if err := s.Free(); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(memory(p, 0), bytes.Repeat([]byte{0xa5}, min(n, 8))) && n >= 8 {
			t.Fatalf("%d bytes are still there after Free", n)
		}
		if allZero(b) && n >= word {
			t.Fatalf("who reads %d freed bytes gets zeroes", n)
		}
	}
	for _, n := range []int{-1, 0, MaxSize + 1} {
		_, err := p.Alloc(n)
		want(t, err, region.ErrSize)
	}
}

func allZero(b []byte) bool { return bytes.Count(b, []byte{0}) == len(b) }

func TestStale(t *testing.T) {
	p := newPool(t, Options{Size: pageSize})
	s := alloc(t, p, 32)
	if err := s.Free(); err != nil {
		t.Fatal(err)
	}
	use := func(name string) {
		t.Helper()
		ran := false
		fn := func([]byte) error { ran = true; return nil }
		want(t, s.Read(fn), ErrFreed)
		want(t, s.Write(fn), ErrFreed)
		want(t, s.Free(), ErrFreed)
		_, err := s.Bytes()
		want(t, err, ErrFreed)
		_, err = s.Equal(nil)
		want(t, err, ErrFreed)
		if ran || s.Len() != 0 || s.Owner() != nil {
			t.Errorf("%s: a stale handle is good for something", name)
		}
	}
	use("freed")
	var others []Secret
	for range slotsOf(classOf[4]) { // until its slot is another's
		others = append(others, alloc(t, p, 32))
	}
	use("another's")
	for _, o := range others {
		if err := o.Free(); err != nil {
			t.Fatal(err)
		}
	}
	big := alloc(t, p, MaxSize) // and its page of another class
	use("another class")
	if err := big.Free(); err != nil {
		t.Fatal(err)
	}
	s = Secret{}
	use("zero")
}

func TestInUse(t *testing.T) {
	p := newPool(t, Options{})
	s := alloc(t, p, 32)
	err := s.Read(func([]byte) error {
		want(t, s.Free(), ErrInUse)
		want(t, p.Close(), ErrInUse)
		return s.Write(func(b []byte) error { b[0] = 1; return nil }) // the pool is as before
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, s.Read(func([]byte) error { return nil }), region.ErrClosed)
	want(t, s.Free(), region.ErrClosed)
	want(t, s.Free(), region.ErrClosed) // the first did nothing
	_, err = p.Alloc(1)
	want(t, err, region.ErrClosed)
	want(t, p.Check(), region.ErrClosed)
	want(t, p.Close(), region.ErrClosed)
}

// The error of the function comes back as it is.
func TestErrorOfFunction(t *testing.T) {
	p := newPool(t, Options{})
	s := alloc(t, p, 1)
	mine := errors.New("mine")
	if err := s.Read(func([]byte) error { return mine }); err != mine {
		t.Error(err)
	}
	if err := s.Write(func([]byte) error { return mine }); err != mine {
		t.Error(err)
	}
	if err := s.Free(); err != nil {
		t.Error("the secret is in use after an error: ", err)
	}
}

func TestQuota(t *testing.T) {
	p := newPool(t, Options{})
	o := p.Owner("tls", Quota{Secrets: 2, Bytes: 40})
	a, err := o.Alloc(32)
	if err != nil {
		t.Fatal(err)
	}
	_, err = o.Alloc(9)
	want(t, err, ErrQuota)
	if _, err = o.Alloc(8); err != nil {
		t.Fatal(err)
	}
	if a.Owner() != o || o.Name() != "tls" || o.Used() != (Quota{2, 40}) {
		t.Errorf("the owner has %v", o.Used())
	}
	if err := a.Free(); err != nil {
		t.Fatal(err)
	}
	if o.Used() != (Quota{1, 8}) {
		t.Errorf("the owner has %v", o.Used())
	}
	other := alloc(t, p, 16)
	if other.Owner() != nil {
		t.Error("a secret that nobody owns has an owner")
	}
	if n, err := o.FreeAll(); n != 1 || err != nil || o.Used() != (Quota{}) {
		t.Errorf("freed %d, %v; left %v", n, err, o.Used())
	}
	if other.Len() != 16 {
		t.Error("what another has was freed too")
	}
}

// A full pool loses nothing, and has its place again after Free.
func TestFull(t *testing.T) {
	p := newPool(t, Options{Size: pageSize})
	var all []Secret
	for {
		s, err := p.Alloc(32)
		if err != nil {
			want(t, err, ErrFull)
			break
		}
		if err := s.Write(func(b []byte) error { b[31] = byte(len(all)); return nil }); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if len(all) != os.Getpagesize()/pageSize*102 {
		t.Errorf("%d secrets of 32 bytes in a page", len(all))
	}
	for i, s := range all {
		if b, err := s.Bytes(); err != nil || b[31] != byte(i) {
			t.Fatalf("secret %d: %v, %v", i, b, err)
		}
	}
	for _, s := range all {
		if err := s.Free(); err != nil {
			t.Fatal(err)
		}
	}
	alloc(t, p, MaxSize) // a class takes the page that another has no use for
}

// Pages that are empty are there for other sizes, and what was freed is not handed out next.
func TestEmptyPages(t *testing.T) {
	p := newPool(t, Options{Size: 64 << 10})
	pages := p.Stats().FreePages
	var all []Secret
	for range 3 * 102 {
		all = append(all, alloc(t, p, 32))
	}
	if s := p.Stats(); s.FreePages != pages-3 {
		t.Errorf("%+v", s)
	}
	for _, s := range all {
		if err := s.Free(); err != nil {
			t.Fatal(err)
		}
	}
	if s := p.Stats(); s.FreePages != pages-1 { // one is kept
		t.Errorf("%+v", s)
	}
	first := alloc(t, p, 32)
	if err := first.Free(); err != nil {
		t.Fatal(err)
	}
	if alloc(t, p, 32).slot == first.slot {
		t.Error("the slot is handed out again at once")
	}
}

// A pool that grows has few arenas.
func TestGrow(t *testing.T) {
	p := newPool(t, Options{Most: 1 << 20})
	for i := 0; ; i++ {
		if _, err := p.Alloc(32); err != nil {
			want(t, err, ErrFull)
			if i != 1<<20/4096*102 {
				t.Errorf("%d secrets", i)
			}
			break
		}
	}
	if s := p.Stats(); s.Arenas > 9 || s.Bytes != 1<<20 || s.FreePages != 0 || s.Secrets != 1<<20/4096*102 {
		t.Errorf("%+v", s)
	}
}

// A windowed pool lends nothing, and does all else.
func TestWindowed(t *testing.T) {
	p := newPool(t, Options{Guarantees: []region.Option{region.Windowed()}})
	s, err := p.Move([]byte("a key"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Bytes()
	want(t, err, ErrWindowed)
	if ok, err := s.Equal([]byte("a key")); !ok || err != nil {
		t.Error(ok, err)
	}
	if ok, err := s.Equal([]byte("b key")); ok || err != nil {
		t.Error(ok, err)
	}
	if err := errors.Join(p.Check(), s.Free(), p.Check()); err != nil {
		t.Error(err)
	}
	want(t, s.Free(), ErrFreed)
}

func TestMoveAndRandom(t *testing.T) {
	p := newPool(t, Options{})
	mine := []byte("0123456789abcdef")
	s, err := p.Move(mine)
	if err != nil || !allZero(mine) {
		t.Fatalf("%v; the source is %q", err, mine)
	}
	if ok, _ := s.Equal([]byte("0123456789abcdef")); !ok {
		t.Error("moved something else")
	}
	r, err := p.Random(32)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := r.Bytes(); allZero(b) {
		t.Error("random zeroes")
	}
}

// The pattern differs from place to place, and from pool to pool.
func TestPattern(t *testing.T) {
	a, b := newPool(t, Options{Size: 1 << 16}), newPool(t, Options{Size: 1 << 16})
	seen := map[uint64]bool{}
	for off := 0; off < 1<<16; off += word {
		if w := a.pattern.at(off); seen[w] || w == b.pattern.at(off) {
			t.Fatalf("the word at %d is there twice", off)
		} else {
			seen[w] = true
		}
	}
	if a.pattern.differs(memory(a, 0), 0) != -1 || a.pattern.differs(memory(b, 0), 0) == -1 {
		t.Error("an arena does not have its pattern, or has another's")
	}
	for begin := range 20 {
		for end := begin; end < 40; end++ {
			mem := make([]byte, 64)
			a.pattern.fill(mem[begin:end], begin)
			if a.pattern.differs(mem[begin:end], begin) != -1 {
				t.Fatalf("what was filled from %d to %d differs", begin, end)
			}
			for i := begin; i < end; i++ {
				mem[i]++
				if got := a.pattern.differs(mem[begin:end], begin); got != i-begin {
					t.Fatalf("%d to %d, %d differs: %d", begin, end, i, got)
				}
				mem[i]--
			}
		}
	}
}

// The arenas are what was asked for, as the kernel has it.
func TestVerify(t *testing.T) {
	p := newPool(t, Options{Size: pageSize, Most: 4 * pageSize, Guarantees: []region.Option{region.Resident(), region.Guarded(), region.NoDump()}})
	for range 2 * 102 {
		alloc(t, p, 32)
	}
	verdicts, err := p.Verify()
	if err != nil {
		t.Fatal(err)
	}
	arenas := map[string]bool{}
	for _, v := range verdicts {
		arenas[v.Subject.Name] = true
		if v.Status == guarantee.Broken || v.Status == guarantee.Unknown && os.Getuid() == 0 {
			t.Errorf("%s %s: %s", v.Requirement, v.Status, v.Message)
		}
	}
	if len(arenas) != p.Stats().Arenas || len(arenas) != 2 {
		t.Errorf("verdicts of %d arenas, of %d", len(arenas), p.Stats().Arenas)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = p.Verify()
	want(t, err, region.ErrClosed)
}

// A pool works with each guarantee that its memory can have; with ReadOnly it can't be.
func TestGuarantees(t *testing.T) {
	budget, err := region.NewBudget(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	for name, one := range map[string]region.Option{
		"Secret": region.Secret(), "Resident": region.Resident(), "OnUse": region.OnUse(budget), "Guarded": region.Guarded(),
		"Sealed": region.Sealed(), "Windowed": region.Windowed(), "NoDump": region.NoDump(), "NoFork": region.NoFork(),
		"WipeOnFork": region.WipeOnFork(), "NoExec": region.NoExec(), "NoMerge": region.NoMerge(), "NoSwap": region.NoSwap(),
	} {
		for range 2 { // the second may get memory that is used again
			p, err := New(Options{Size: pageSize, Guarantees: []region.Option{one}})
			if errors.Is(err, region.ErrUnsupported) || errors.Is(err, region.ErrLimit) {
				t.Logf("%s: %v", name, err)
				continue
			}
			if err != nil {
				t.Fatal(name, err)
			}
			s, err := p.Move([]byte("a secret"))
			if err != nil {
				t.Fatal(name, err)
			}
			ok, err := s.Equal([]byte("a secret"))
			if err := errors.Join(err, p.Check(), s.Free(), p.Check(), p.Close()); err != nil || !ok {
				t.Error(name, ok, err)
			}
		}
	}
	_, err = New(Options{Guarantees: []region.Option{region.ReadOnlyUntilClose(func([]byte) error { return nil })}})
	if !errors.Is(err, region.ErrConflict) && !errors.Is(err, region.ErrUnsupported) {
		t.Error(err)
	}
}
