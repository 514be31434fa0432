package pool

import (
	"context"

	"github.com/safevma/safevma/bench/measure"
	"github.com/safevma/safevma/bench/store"
	"github.com/safevma/safevma/pmem"
)

// pair is what a store has for a key, as an object.
type pair struct {
	Key   uint64
	Value value
}

// value is that of the stores.
type value [100]byte

func valueOf(i int) (v value) {
	for k := range v {
		v[k] = byte(i)
	}
	return v
}

func pairOf(i int) pair { return pair{measure.Mix(uint64(i)), valueOf(i)} }

// diskSize is that of pools on a disk.
const diskSize = 128 << 20

// Commits measures durable transactions that allocate a key and its value as one object. There
// is no index: nobody finds the key again. What it is good for is to show what an index costs.
func Commits(folder string, writers, ops int, o pmem.Options) (result Result, err error) {
	refs := make([]pmem.Ref[pair], ops+1)
	err = within(folder, diskSize, o, func(p *pmem.Pool) error {
		add := func(_, i int) error {
			return p.Update(context.Background(), func(tx *pmem.Tx) (err error) {
				refs[i], err = pmem.Alloc(tx, pairOf(i))
				return err
			})
		}
		m, took, err := store.Run("commit", writers, ops, add)
		if err != nil {
			return err
		}
		result.Measures = append(result.Measures, m)
		note, err := wraps(p, ops, func() error { return add(0, ops) })
		result.Notes = append(result.Notes, note+"; "+took)
		return err
	})
	if err != nil {
		return result, err
	}
	return result, again(folder, o, func(p *pmem.Pool) error { return hold(p, refs, pairOf) })
}
