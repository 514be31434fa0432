// Package mutation breaks package pmem on purpose, one thing at a time, and sees whether the tests
// find it: each flush, fence, check, lock and order of the protocol that is taken out must be caught,
// or be shown to be needless. The source is not touched: the go command reads the broken file from an
// overlay. It is for the tests of this repository.
//
//	SAFEVMA_NIGHTLY=1 go test ./internal/mutation -timeout 3h -update
//
// writes docs/pmem/mutation.md from a run. It takes a quarter of an hour or more.
package mutation
