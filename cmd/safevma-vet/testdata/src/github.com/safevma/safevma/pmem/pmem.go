// Package pmem has the signatures of the real one, and no more.
package pmem

import "context"

type Pool struct{ path string }

type Tx struct{ pool *Pool }

type Ref[T any] struct{ word uint64 }

type Bytes struct{ _ uint8 }

func (p *Pool) Update(ctx context.Context, fn func(tx *Tx) error) error { return nil }
func (p *Pool) View(ctx context.Context, fn func(tx *Tx) error) error   { return nil }

func (tx *Tx) OnApply(fn func()) {}

func (r Ref[T]) IsNil() bool { return r.word == 0 }

func Alloc[T any](tx *Tx, v T) (Ref[T], error)          { return Ref[T]{}, nil }
func AllocImmutable[T any](tx *Tx, v T) (Ref[T], error) { return Ref[T]{}, nil }
func Get[T any](tx *Tx, r Ref[T]) (v T, err error)      { return }
func Set[T any](tx *Tx, r Ref[T], v T) error            { return nil }
func Free[T any](tx *Tx, r Ref[T]) error                { return nil }
func Borrow[T any](tx *Tx, r Ref[T]) (*T, error)        { return nil, nil }

func AllocBytes(tx *Tx, b []byte) (Ref[Bytes], error)              { return Ref[Bytes]{}, nil }
func AllocImmutableBytes(tx *Tx, b []byte) (Ref[Bytes], error)     { return Ref[Bytes]{}, nil }
func ReadBytes(tx *Tx, r Ref[Bytes], off int64, p []byte) error    { return nil }
func AppendBytes(tx *Tx, r Ref[Bytes], dst []byte) ([]byte, error) { return nil, nil }
func SetBytes(tx *Tx, r Ref[Bytes], off int64, b []byte) error     { return nil }
func BorrowBytes(tx *Tx, r Ref[Bytes]) ([]byte, error)             { return nil, nil }
func Root[T any](tx *Tx, name string) (Ref[T], error)              { return Ref[T]{}, nil }
func SetRoot[T any](tx *Tx, name string, r Ref[T]) error           { return nil }
func Register[T any]() error                                       { return nil }
