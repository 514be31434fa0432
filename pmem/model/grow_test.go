package model

import (
	"context"
	"errors"
	"testing"

	"github.com/safevma/safevma/pmem/crash"
)

// grows makes the pool longer, and uses the space.
func grows(b Break) crash.Workload[*Pool] {
	w := pools(Options{Break: b, Slots: 2}, func(o *ops) error {
		return errors.Join(
			o.Do("grow", (*Pool).Grow),
			o.Do("set grown", func(p *Pool) error { return p.SetGrown(7) }))
	})
	w.Most = Grown
	w.Dump = func(p *Pool) (string, error) { return p.grown() }
	return w
}

func TestGrow(t *testing.T) {
	if r := crash.Run(t, crash.Config{Models: media, Recoveries: 1 << 20, FailSyncs: 4}, grows(Intact)); r != nil {
		complete(t, r)
	}
}

func TestBrokenGrow(t *testing.T) {
	cfg := crash.Config{Name: t.Name(), Models: media[1:2]}
	_, err := crash.Explore(context.Background(), cfg, grows(GrowLogged))
	var f *crash.Failure
	if !errors.As(err, &f) {
		t.Fatalf("not caught: %v", err)
	}
	t.Logf("%v", f)
}
