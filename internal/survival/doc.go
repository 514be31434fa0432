// Package survival is a workload for pools that are killed, and whose power is cut: many goroutines
// with transactions that meet on the same objects, of all sizes, and a checker of what is left. It is
// for tests; its process is in worker.go, and package worker is that as a command.
//
// What has to hold after each failure, and what [Check] looks at:
//
//   - Each goroutine has a counter in the pool, which every transaction of its own raises. The
//     process reports the start and the return of each transaction, in that order, to somebody who
//     survives it. The counter is at least what was acknowledged, and at most what was started.
//   - The money in all accounts is what it was at first.
//   - A shelf says how many cells its list has, and their sum; so it is.
//   - A shelf says which bytes its blobs have, and how often one of their cells was changed; so it is.
//   - The checker of pools finds nothing, and no memory that no root reaches.
package survival
