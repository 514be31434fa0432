//go:build amd64 || arm64

// Package call jumps to machine code, for tests.
package call

// Call executes the code at entry with an argument, in the first register for one of the C calling
// convention, and returns what it leaves in the register for results. The code uses little stack,
// and keeps the registers that C functions keep.
func Call(entry uintptr, arg uint64) uint64
