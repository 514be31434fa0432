package pool

import (
	"errors"
	"testing"

	"github.com/safevma/safevma/bench/measure"
	"github.com/safevma/safevma/pmem"
)

func inPool(t *testing.T, do func(p *pmem.Pool) error) {
	t.Helper()
	if err := within(t.TempDir(), poolSize, pmem.Options{}, do); err != nil {
		t.Fatal(err)
	}
}

// Keys that meet in one bucket are all found, and an update is not another key.
func TestTableKeepsWhatMeets(t *testing.T) {
	inPool(t, func(p *pmem.Pool) error {
		made, err := newTable(p)
		if err != nil {
			return err
		}
		var keys []uint64
		for k := uint64(0); len(keys) < 3*slots; k++ {
			if made.bucketOf(k) == made.bucketOf(0) {
				keys = append(keys, k)
			}
		}
		for round := range 2 {
			for i, k := range keys {
				if err := made.put(k, valueOf(i+round)); err != nil {
					return err
				}
			}
		}
		found, err := openTable(p)
		if err != nil {
			return err
		}
		for i, k := range keys {
			if v, ok, err := found.get(k); err != nil || !ok || v != valueOf(i+1) {
				t.Errorf("key %d: %v, %v", k, ok, err)
			}
		}
		if _, ok, err := found.get(keys[len(keys)-1] + 1); ok || err != nil {
			t.Errorf("a key that was never put: %v, %v", ok, err)
		}
		return nil
	})
}

// The controls: what contenders check after a run can fail.
func TestChecksCanFail(t *testing.T) {
	inPool(t, func(p *pmem.Pool) error {
		refs, err := fill[object](p, 3)
		if err != nil {
			return err
		}
		if err := hold(p, refs, func(int) object { return object{} }); err != nil {
			t.Error(err)
		}
		if err := hold(p, refs, func(i int) object { return object{2: byte(i)} }); err == nil {
			t.Error("objects with other values pass")
		}
		if err := gone(p, refs[2:]); !errors.Is(err, errLeft) {
			t.Error("an object that is not freed passes")
		}
		made, err := newTable(p)
		if err != nil {
			return err
		}
		for i := range 10 {
			if err := made.put(measure.Mix(uint64(i)), valueOf(i)); err != nil {
				return err
			}
		}
		if err := hasAll(p, 10); err != nil {
			t.Error(err)
		}
		if err := hasAll(p, 11); err == nil {
			t.Error("a table that lacks a key passes")
		}
		return nil
	})
}
