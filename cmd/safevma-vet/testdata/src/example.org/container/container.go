// Package container passes its type parameters on to pmem.
package container

import "github.com/safevma/safevma/pmem"

// Map keeps K and V in the pool, and N not.
type Map[K comparable, V, N any] struct {
	root pmem.Ref[node[K, V]]
	name N
}

type node[K comparable, V any] struct {
	key   K
	value [4]V
	next  pmem.Ref[node[K, V]]
}

func (m *Map[K, V, N]) Put(tx *pmem.Tx, k K, v V) error { return put(tx, m.root, k, v) }

func put[K comparable, V any](tx *pmem.Tx, r pmem.Ref[node[K, V]], k K, v V) error {
	return pmem.Set(tx, r, node[K, V]{key: k, value: [4]V{v}})
}

// Store keeps T.
func Store[T any](tx *pmem.Tx, v T) error {
	_, err := pmem.Alloc(tx, v)
	return err
}

// Print keeps nothing.
func Print[T any](v T) {}

// Log keeps T, and shows it in its methods alone.
type Log[T any] struct{ name string }

func (l *Log[T]) Add(tx *pmem.Tx, v T) error { return Store(tx, v) }
