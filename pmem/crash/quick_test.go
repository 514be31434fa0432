package crash

import (
	"math/big"
	"testing"

	"github.com/safevma/safevma/pmem/crash/state"
)

// An acknowledgement too early shows after it, at a place where the quick mode has been already:
// before it.
func TestQuickAcknowledgement(t *testing.T) {
	w := pairWorkload("")
	w.Run = func(o *Ops[*pair]) error {
		for i := range uint64(3) {
			if err := o.Do("poke", func(p *pair) error { return p.m.Store8(64, i+1, 1) }); err != nil {
				return err
			}
		}
		return nil
	}
	_, err := explore(t, Config{Models: adrOnly}, w)
	wantFailure(t, err, errState)
	_, err = explore(t, Config{Models: adrOnly, Quick: true}, w)
	wantFailure(t, err, errState)
}

// An image that comes back is counted once, in the quick mode too.
func TestQuickCount(t *testing.T) {
	w := pairWorkload("")
	w.Run = func(o *Ops[*pair]) error {
		for i := range uint64(3) {
			if err := o.Do("set", func(p *pair) error { return p.set(1-i%2, 1-i%2) }); err != nil {
				return err
			}
		}
		return nil
	}
	r, err := explore(t, Config{Models: []state.Model{Kill, ADR}, Quick: true}, w)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range r.Models {
		checked, _ := new(big.Int).SetString(m.ImagesChecked, 10)
		all, _ := new(big.Int).SetString(m.Images, 10)
		if checked.Cmp(all) > 0 || checked.Sign() == 0 {
			t.Errorf("%v: %v of %v images", m.Model, checked, all)
		}
	}
}
