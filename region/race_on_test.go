//go:build race

package region_test

// raced: the runtime of the race detector keeps a copy of the environment for itself.
const raced = true
