package offender

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	"github.com/safevma/safevma/internal/sys"
)

// restless keeps up to restlessMappings mappings and changes one of them at every
// step. The mapping in the report stays as it is from before the report to the end.
func restless(r *run) error {
	sentinel, err := r.keep(3, sys.ProtRead, sys.MapShared|sys.MapAnonymous, nil)
	if err != nil {
		return err
	}
	r.show(sentinel)
	r.note("the mapping in the report stays; others come and go")
	r.serve = churn
	return nil
}

const restlessMappings = 256

// churn never maps at a fixed address, so that it can't hit what the runtime maps
// meanwhile.
func churn(ctx context.Context) error {
	prots := []int{sys.ProtNone, sys.ProtRead, protRW, protRX}
	var live [restlessMappings][]byte
	for ctx.Err() == nil {
		at := &live[rand.IntN(len(live))]
		prot := prots[rand.IntN(len(prots))]
		if *at == nil {
			b, err := sys.Mmap((1+rand.IntN(8))*pageSize, prot, sys.MapPrivate|sys.MapAnonymous, -1, 0)
			if err != nil {
				return err
			}
			*at = b
			continue
		}
		if rand.IntN(2) == 0 {
			part := (*at)[rand.IntN(len(*at)/pageSize)*pageSize:]
			if err := sys.Mprotect(part, prot); err != nil {
				return err
			}
			continue
		}
		if err := sys.Munmap(*at); err != nil {
			return err
		}
		*at = nil
	}
	return nil
}

// restlessExec executes itself anew every few milliseconds: the process stays, its
// address space does not.
func restlessExec(r *run) error {
	left, err := numbers(r.args, 0, 1)
	if err != nil {
		return err
	}
	if len(r.args) == 0 {
		left[0] = 1 << 30
	}
	r.note("%d more times", left[0])
	r.serve = func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(2 * time.Millisecond):
		}
		if left[0] == 0 {
			return nil
		}
		exe, err := os.Executable()
		if err != nil {
			return err
		}
		r.args = []string{strconv.Itoa(left[0] - 1)}
		return r.exec(exe, stageSilent)
	}
	return nil
}

// restlessFork starts processes that end at once: by turns a copy of this one, which
// it kills, and a program.
func restlessFork(r *run) error {
	r.serve = func(ctx context.Context) error {
		for ctx.Err() == nil {
			for range 8 {
				pid, err := sys.ForkIdle(int(os.Stdin.Fd()))
				if err != nil {
					return err
				}
				if err := kill(pid); err != nil {
					return err
				}
			}
			cmd, err := again("list", "--json")
			if err != nil {
				return err
			}
			if err := cmd.Run(); err != nil {
				return err
			}
		}
		return nil
	}
	return nil
}
