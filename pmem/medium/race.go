//go:build race

package medium

// raceEnabled reports a program that was built with -race.
const raceEnabled = true
