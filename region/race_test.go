//go:build race

package region_test

// raceDetector: its shadow memory would be in a core dump.
const raceDetector = true
