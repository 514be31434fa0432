// Package workload has transactions to explore pools with: what a failure may leave of a pool,
// enumerated by package crash. They are small, so that the enumeration is complete, and each
// goes where a protocol breaks first. The tests of package pmem and "safevma pool crashtest" run
// them.
package workload
