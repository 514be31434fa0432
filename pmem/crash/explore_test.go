package crash

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/safevma/safevma/pmem/crash/state"
	"github.com/safevma/safevma/pmem/medium"
)

// bits is a log with valid bits: slots of 128 bytes, a value in the first line and the valid
// word in the second.
type bits struct {
	m    *medium.Medium
	n    int64
	flaw string
}

func (b *bits) add(v uint64) error {
	at := b.n * 128
	if b.flaw == "order" {
		if err := errors.Join(b.m.Store8(at+64, 1, 0), b.m.Persist(at+64, 8)); err != nil {
			return err
		}
	}
	err := errors.Join(b.m.Store8(at, v, 0), b.m.Store8(at+8, ^v, 0))
	if b.flaw != "flush" {
		err = errors.Join(err, b.m.Persist(at, 16))
	}
	if b.flaw != "order" {
		err = errors.Join(err, b.m.Store8(at+64, 1, 0))
		if b.flaw != "ack" {
			err = errors.Join(err, b.m.Persist(at+64, 8))
		}
	}
	b.n++
	return err
}

var errTorn = errors.New("torn value")

func openBits(e *Env, flaw string) (*bits, error) {
	b := &bits{m: e.Medium, flaw: flaw}
	for ; ; b.n++ {
		valid, err := b.m.Load8(b.n*128 + 64)
		if err != nil || valid == 0 {
			return b, err
		}
	}
}

func (b *bits) dump() (string, error) {
	var s strings.Builder
	for i := range b.n {
		v, err := b.m.Load8(i * 128)
		w, err2 := b.m.Load8(i*128 + 8)
		if err := errors.Join(err, err2); err != nil {
			return "", err
		}
		fmt.Fprintf(&s, "%x/%x ", v, ^w)
	}
	return s.String(), nil
}

func bitsWorkload(flaw string, n int) Workload[*bits] {
	return Workload[*bits]{
		Size:   8192,
		Create: func(e *Env) (*bits, error) { return openBits(e, flaw) },
		Run: func(o *Ops[*bits]) error {
			for i := range n {
				if err := o.Do(fmt.Sprintf("add %d", i), func(b *bits) error { return b.add(uint64(i + 7)) }); err != nil {
					return err
				}
			}
			return nil
		},
		Recover: func(e *Env) (*bits, error) { return openBits(e, flaw) },
		Dump:    (*bits).dump,
	}
}

func TestBits(t *testing.T) {
	for _, model := range []state.Model{Kill, ADR, EADR, PageCache, PageCacheTorn} {
		for flaw, caught := range map[string]bool{"": false, "flush": true, "order": true, "ack": true} {
			if flaw != "" && (model.Domain == state.Kill || model.Domain == state.EADR) {
				caught = flaw == "order"
			}
			if flaw == "flush" && model == PageCache {
				caught = false // one sector, which keeps its order, and one sync
			}
			r, err := Explore(context.Background(), Config{Models: []state.Model{model}, Name: flaw}, bitsWorkload(flaw, 5))
			var f *Failure
			if caught != errors.As(err, &f) || !caught && err != nil {
				t.Errorf("%v %q: %v", model, flaw, err)
			}
			t.Logf("%v", r)
		}
	}
}

// The oracle changes at an acknowledgement, where the images don't: the last one counts too.
func TestLastAcknowledgement(t *testing.T) {
	_, err := explore(t, Config{Models: adrOnly}, bitsWorkload("ack", 1))
	if f := wantFailure(t, err, errState); !strings.Contains(f.Moment, "after add 0 was acknowledged") {
		t.Errorf("found %s", f.Moment)
	}
}
