package model

import (
	"context"
	"errors"
	"testing"

	"github.com/safevma/safevma/pmem/crash"
)

// chains has a record of three parts.
func chains(b Break) crash.Workload[*Pool] {
	return pools(Options{Break: b, Slots: 3, Words: 3, Changes: 1}, func(o *ops) error { return setting(o, 0, 1, 2, 3) })
}

func TestChain(t *testing.T) {
	for name, cfg := range map[string]crash.Config{
		"dax":    {Models: media[1:3], Recoveries: 1 << 20},
		"nested": {Models: append(media[:1:1], media[3]), Recoveries: 1 << 20, FailSyncs: 3},
	} {
		t.Run(name, func(t *testing.T) {
			if r := crash.Run(t, cfg, chains(Intact)); r != nil {
				complete(t, r)
			}
		})
	}
}

func TestBrokenChain(t *testing.T) {
	cfg := crash.Config{Name: t.Name(), Models: media[1:2], Recoveries: 1 << 20}
	_, err := crash.Explore(context.Background(), cfg, chains(ChainLast))
	var f *crash.Failure
	if !errors.As(err, &f) {
		t.Fatalf("not caught: %v", err)
	}
	t.Logf("%v", f)
}
