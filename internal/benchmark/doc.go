// Package benchmark compares safevma with the libraries that a Go program would read
// address spaces with otherwise, in one run and on the same processes. It is a module of
// its own: what it compares with is no dependency of safevma. It has nothing but
// benchmarks:
//
//	cd internal/benchmark && go test -bench .
package benchmark
