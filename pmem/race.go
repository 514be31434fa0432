//go:build race

package pmem

// raceEnabled: see stripes.
const raceEnabled = true
