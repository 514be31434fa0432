package model

import (
	"context"
	"errors"
	"testing"

	"github.com/safevma/safevma/pmem/crash"
	"github.com/safevma/safevma/pmem/crash/state"
)

var secret = []uint64{0x5ec7e75ec7e70001}

// erases makes an object with a secret, and erases it. After a failure, if the object is gone,
// so is the secret: recovery has finished the intent.
func erases(b Break) crash.Workload[*Pool] {
	w := pools(Options{Break: b, Slots: 3, Objects: 1}, func(o *ops) error {
		if err := o.Do("erase", func(p *Pool) error { return p.Erase(0) }); err != nil {
			return err
		}
		return o.Erased(encode(secret))
	})
	create := w.Create
	w.Create = func(e *crash.Env) (*Pool, error) {
		p, err := create(e)
		if err != nil {
			return nil, err
		}
		return p, p.New(0, secret...)
	}
	w.Resume = func(o *ops) error {
		v, err := o.S.root(0)
		if err != nil {
			return err
		}
		if v != 0 {
			return nil // not erased
		}
		return o.Erased(encode(secret))
	}
	return w
}

func TestErase(t *testing.T) {
	for name, cfg := range map[string]crash.Config{ // crashes in recovery cost minutes on DAX
		"dax":    {Models: []state.Model{crash.ADR, crash.EADR}, Recoveries: 1 << 20, Lives: 1 << 20},
		"nested": {Models: []state.Model{crash.Kill, crash.PageCache}, Recoveries: 1 << 20, Lives: 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			if r := crash.Run(t, cfg, erases(Intact)); r != nil {
				complete(t, r)
			}
		})
	}
}

func TestBrokenErase(t *testing.T) {
	for name, b := range map[string]Break{"log": EraseLog, "cleared": EraseCleared, "unfinished": EraseUnfinished} {
		t.Run(name, func(t *testing.T) {
			cfg := crash.Config{Name: t.Name(), Models: []state.Model{crash.ADR}, Lives: 1 << 20}
			_, err := crash.Explore(context.Background(), cfg, erases(b))
			var f *crash.Failure
			if !errors.As(err, &f) {
				t.Fatalf("not caught: %v", err)
			}
			t.Logf("%v", f)
		})
	}
}
