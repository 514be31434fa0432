package pool

import (
	"errors"
	"sync"
	"testing"

	"github.com/safevma/safevma/region"
)

// What is refused does not count, not even while it is refused: what fits beside is given.
func TestQuotaBeside(t *testing.T) {
	p := newPool(t, Options{})
	for _, o := range []*Owner{p.Owner("bytes", Quota{Bytes: 100}), p.Owner("both", Quota{Secrets: 2, Bytes: 100})} {
		if _, err := o.Alloc(50); err != nil {
			t.Fatal(err)
		}
		end := make(chan struct{})
		var greedy sync.WaitGroup
		greedy.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
				}
				if _, err := o.Alloc(80); !errors.Is(err, ErrQuota) {
					t.Errorf("more than the quota of %s: %v", o.Name(), err)
					return
				}
			}
		})
		for range 20_000 {
			s, err := o.Alloc(32)
			if err == nil {
				err = s.Free()
			}
			if err != nil {
				t.Errorf("within the quota of %s: %v", o.Name(), err)
				break
			}
		}
		close(end)
		greedy.Wait()
		if o.Used() != (Quota{1, 50}) {
			t.Errorf("%s has %v", o.Name(), o.Used())
		}
	}
}

// A slot that had as many secrets as can be told apart is handed out no more, so that the handle of
// the first does not fit a later one.
func TestLastGeneration(t *testing.T) {
	p := newPool(t, Options{Size: pageSize})
	s := alloc(t, p, MaxSize)
	s.slot.state.Store(pack(lastGen, live))
	last := Secret{s.slot, lastGen}
	if err := last.Free(); err != nil {
		t.Fatal(err)
	}
	if s, err := p.Alloc(MaxSize); !errors.Is(err, ErrFull) {
		t.Errorf("handed out once more: generation %x, %v", s.gen, err)
	}
	want(t, last.Free(), ErrFreed)
	if err := p.Check(); err != nil || p.Stats().Withdrawn != 1 {
		t.Errorf("%v, withdrawn %d", err, p.Stats().Withdrawn)
	}
}

// Behind a slot that was withdrawn is the begin of its neighbour, which is looked at as any other.
func TestBesideWithdrawn(t *testing.T) {
	p := newPool(t, Options{Size: pageSize})
	first := alloc(t, p, MaxSize/2-word)
	second := alloc(t, p, MaxSize/2-word)
	if err := first.Free(); err != nil {
		t.Fatal(err)
	}
	memory(p, 0)[first.slot.off]++
	if _, err := p.Alloc(MaxSize/2 - word); !errors.Is(err, region.ErrCorrupt) {
		t.Fatal(err)
	}
	if err := p.Check(); err != nil {
		t.Error("what was withdrawn is found again: ", err)
	}
	at := int(second.slot.off) - 1
	memory(p, 0)[at]++
	if e := new(CorruptError); !errors.As(p.Check(), &e) || e.Offset != at {
		t.Errorf("Check found %+v, want one at %d", e, at)
	}
	want(t, second.Free(), region.ErrCorrupt)
	if err := p.Check(); err != nil {
		t.Error(err)
	}
}
