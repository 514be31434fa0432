//go:build race

package guard_test

// raceEnabled: the race detector sees one process, and makes each of the four of a launch slow to start.
const raceEnabled = true
