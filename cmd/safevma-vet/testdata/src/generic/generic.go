// Package generic instantiates what keeps its type arguments in a pool.
package generic

import (
	"example.org/container"
	"github.com/safevma/safevma/pmem"
)

type pair[T any] struct{ A, B T }

type key struct{ Hash uint64 }

func keep[T any](tx *pmem.Tx, v T) { _, _ = pmem.Alloc(tx, pair[T]{v, v}) }

func forward[T any](tx *pmem.Tx, v T) { keep(tx, v) }

var (
	good container.Map[key, uint64, string]
	bad  container.Map[key, []byte, string] // want `\[\]byte can't live in a pool: it is a slice`
	odd  container.Map[string, key, string] // want `string can't live in a pool: it is a string`
	text container.Log[[]string]            // want `\[\]string can.t live in a pool: it is a slice`
	keys container.Log[key]
)

func uses(tx *pmem.Tx) {
	_ = container.Store(tx, key{})
	_ = container.Store(tx, uint(1)) // want `uint can't live in a pool`
	container.Print("text")
	keep(tx, key{})
	keep(tx, &key{}) // want `\*key can't live in a pool`
	forward(tx, int64(1))
	forward(tx, pair[map[int]int]{}) // want `pair\[map\[int\]int\] can't live in a pool: A is a map, .*; B is a map`
}
