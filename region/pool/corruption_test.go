package pool

import (
	"errors"
	"os"
	"testing"

	"github.com/safevma/safevma/region"
)

// Each place where nothing is handed out: written, it is found, and where it is.
func TestCorruption(t *testing.T) {
	tests := []struct {
		name    string
		size    int
		at      int // from the begin of the secret
		free    bool
		what    string
		byCheck bool
	}{
		{"one byte behind", 32, 32, false, "behind a secret", true},
		{"one byte behind, odd size", 13, 13, false, "behind a secret", true},
		{"last byte behind", 32, 39, false, "behind a secret", true},
		{"one byte before the first", 32, -1, false, "before a secret", true},
		{"behind a big one", MaxSize, MaxSize, false, "behind a secret", true},
		{"freed", 32, 5, true, "in a free slot", true},
		{"freed, last byte", 32, 31, true, "in a free slot", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPool(t, Options{Size: pageSize})
			o := p.Owner("mine", Quota{})
			s, err := o.Alloc(tt.size)
			if err != nil {
				t.Fatal(err)
			}
			at := s.slot.page.off + int(s.slot.off) + tt.at
			if tt.free {
				if err := s.Free(); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Check(); err != nil {
				t.Fatal("before: ", err)
			}
			memory(p, 0)[at] ^= 0x10
			err = p.Check()
			want(t, err, region.ErrCorrupt)
			if e := new(CorruptError); !errors.As(err, &e) || e.Offset != at {
				t.Errorf("Check found %+v, want one at %d", e, at)
			}
			if tt.free {
				foundByAlloc(t, p, s, tt.size, at)
				return
			}
			err = s.Free()
			if e := new(CorruptError); !errors.As(err, &e) || e.Offset != at || e.What != tt.what || e.Owner != "mine" {
				t.Errorf("Free found %+v (%v), want one at %d", e, err, at)
			}
			want(t, s.Free(), ErrFreed)
			if err := p.Check(); err != nil {
				t.Error("after Free: ", err)
			}
		})
	}
}

// foundByAlloc: a free slot that was written is withdrawn, and all others are handed out.
func foundByAlloc(t *testing.T, p *Pool, s Secret, size, at int) {
	t.Helper()
	n, found := 0, 0
	for {
		other, err := p.Alloc(size)
		if errors.Is(err, ErrFull) {
			break
		}
		if e := new(CorruptError); errors.As(err, &e) {
			if e.Offset != at || e.What != "in a free slot" {
				t.Errorf("Alloc found %+v", e)
			}
			found++
			continue
		}
		if other.slot == s.slot {
			t.Error("the slot was handed out")
		}
		n++
	}
	if whole := os.Getpagesize() / pageSize * slotsOf(classOf[(size+7)/8]); found != 1 || n != whole-1 || p.Stats().Withdrawn != 1 {
		t.Errorf("found %d, got %d of %d, withdrawn %d", found, n, whole, p.Stats().Withdrawn)
	}
}

// The ends of a page belong to no slot.
func TestCorruptEnds(t *testing.T) {
	p := newPool(t, Options{Size: pageSize})
	alloc(t, p, 32)
	for at, what := range map[int]string{0: "before the first slot of a page", pageSize - 1: "behind the last slot of a page"} {
		memory(p, 0)[at] ^= 1
		if e := new(CorruptError); !errors.As(p.Check(), &e) || e.Offset != at || e.What != what {
			t.Errorf("found %+v, want one at %d", e, at)
		}
		memory(p, 0)[at] ^= 1
	}
}

func TestCorruptFreePage(t *testing.T) {
	p, err := New(Options{Size: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	memory(p, 0)[70] = ^memory(p, 0)[70]
	for _, err := range []error{p.Check(), p.Close()} {
		if e := new(CorruptError); !errors.As(err, &e) || e.Offset != 70 || e.What != "in a free page" {
			t.Errorf("found %+v", e)
		}
	}
	want(t, p.Check(), region.ErrClosed)
}

// Each byte of an arena, changed: Check finds it exactly where nothing is handed out, and says where.
func TestEveryByte(t *testing.T) {
	p := newPool(t, Options{Size: 3 * pageSize})
	handedOut := make([]bool, len(memory(p, 0)))
	for i, n := range []int{1, 32, 31, 16, MaxSize, 5, 17, 24} {
		s := alloc(t, p, n)
		if i%4 == 3 {
			if err := s.Free(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		begin := s.slot.page.off + int(s.slot.off)
		for at := begin; at < begin+n; at++ {
			handedOut[at] = true
		}
	}
	step := 1
	if testing.Short() {
		step = 13
	}
	for at := 0; at < len(handedOut); at += step {
		memory(p, 0)[at] ^= 0x40
		e, err := new(CorruptError), p.Check()
		memory(p, 0)[at] ^= 0x40
		if handedOut[at] != (err == nil) || err != nil && (!errors.As(err, &e) || e.Offset != at) {
			t.Fatalf("byte %d, handed out: %v; found %v", at, handedOut[at], err)
		}
	}
	if err := p.Check(); err != nil {
		t.Error(err)
	}
}
