//go:build !race

package region_test

const raceDetector = false
